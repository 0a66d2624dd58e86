"""The apps a node offers, each described by one JSON file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from compute_agent.confinement import Needs
from compute_agent.environments import NAMES
from compute_agent.protocol import AppOffer

BUILT_IN = Path(__file__).parent / "apps.d"
#: What a command may refer to as ``%(name)s``.
PLACEHOLDERS = frozenset(
    {"socket", "urlPrefix", "projectHome", "environment", "environmentName", *NAMES}
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

_Name = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{1,31}\Z")]
_Text = Annotated[str, Meta(min_length=1, max_length=60)]
# A path below the app's prefix: nothing that leads out of it or to another host.
_Path = Annotated[str, Meta(pattern=r"\A(?!.*\.\.)(?![/\\])[A-Za-z0-9._~/-]{0,200}(\?[\w=&-]*)?\Z")]


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """How an app wants its own secret: by which variable, and in which header of each request."""

    variable: Annotated[str, Meta(pattern=r"\A[A-Z][A-Z0-9_]*\Z")]
    header: Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9-]*\Z")]
    format: str = "%(token)s"


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """One app. ``template`` is the node's environment that it runs from; without one it runs
    from the project's. ``timeout`` is in seconds, from launch to the first answer."""

    name: _Name
    title: _Text
    icon: _Text
    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    landing: _Path = ""
    readiness: _Path = ""
    template: str | None = None
    kernels: bool = False
    token: Token | None = None
    #: Whether it may run for visitors who did not sign in, as the node's ``anon_user``.
    anonymous: bool = False
    #: Where its tile stands among the others.
    order: int = 100
    timeout: Annotated[float, Meta(gt=0, le=600)] = 60.0
    limits: Needs = Needs()

    def command_line(self, values: Mapping[str, str]) -> list[str]:
        """Return the command with its placeholders filled in."""
        return [_PLACEHOLDER.sub(lambda match: values[match[1]], part) for part in self.command]


class Catalog(Struct, frozen=True):
    """All usable apps by name, and what is wrong with the others."""

    apps: dict[str, Descriptor]
    problems: tuple[str, ...] = ()

    @property
    def offers(self) -> tuple[AppOffer, ...]:
        return tuple(
            AppOffer(name=app.name, title=app.title, icon=app.icon, landing=app.landing)
            for app in sorted(self.apps.values(), key=lambda app: (app.order, app.title))
        )


def load(*directories: Path) -> Catalog:
    """Return the apps described in ``directories``; a later one replaces an earlier by name.

    A description that cannot be used takes its app away and adds a problem; it stops nothing else.
    """
    apps: dict[str, Descriptor] = {}
    problems = []
    for path in (path for place in directories for path in sorted(place.glob("*.json"))):
        apps.pop(path.stem, None)
        try:
            descriptor = _read(path)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            problems.append(f"The app {path.stem} is not offered: {path} {_reason(error)}.")
        else:
            apps[descriptor.name] = descriptor
    return Catalog(apps, tuple(problems))


def _read(path: Path) -> Descriptor:
    descriptor = msgspec.json.decode(path.read_bytes(), type=Descriptor)
    if descriptor.name != path.stem:
        raise ValueError(f"describes {descriptor.name}, so it must be named {descriptor.name}.json")
    used = {name for part in descriptor.command for name in _PLACEHOLDER.findall(part)}
    unknown = sorted(used - PLACEHOLDERS)
    if unknown:
        raise ValueError(f"uses %({unknown[0]})s, which this node cannot fill in")
    if descriptor.template is not None and descriptor.template not in NAMES:
        raise ValueError(f"names the template {descriptor.template}, which does not exist")
    return descriptor


def _reason(error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError):
        return f"is not right ({error})"
    return str(error) if isinstance(error, ValueError) else f"cannot be read ({error})"
