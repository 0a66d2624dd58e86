"""One app's description: which fields it has, and what they may hold."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from compute_agent.confinement import Needs as Limits
from compute_agent.environments import NAMES
from compute_agent.protocol import AppOffer

#: What a command may refer to as ``%(name)s``.
PLACEHOLDERS = frozenset(
    {
        "socket",
        "port",
        "urlPrefix",
        "urlPath",
        "projectHome",
        "environment",
        "environmentName",
        "serve",
        *NAMES,
    }
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)s")

_Name = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{1,31}\Z")]
_Text = Annotated[str, Meta(min_length=1, max_length=60)]
# A path below the app's prefix: nothing that leads out of it or to another host.
_Path = Annotated[str, Meta(pattern=r"\A(?!.*\.\.)(?![/\\])[A-Za-z0-9._~/-]{0,200}(\?[\w=&-]*)?\Z")]
_Folder = Annotated[str, Meta(pattern=r"\A(?!(.*/)?\.\.(/|\Z))[^/\0][^\0]{0,199}\Z|\A\Z")]
_File = Annotated[str, Meta(pattern=r"\A[^/\0]{1,100}\Z")]
# What a program is given: the kernel ends each at a NUL.
_Word = Annotated[str, Meta(pattern=r"\A[^\0]*\Z")]
_Variable = Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z")]
_Status = Annotated[int, Meta(ge=100, le=599)]


class Token(Struct, frozen=True, forbid_unknown_fields=True):
    """How an app wants its own secret: by which variable, and in which header of each request."""

    variable: Annotated[str, Meta(pattern=r"\A[A-Z][A-Z0-9_]*\Z")]
    header: Annotated[str, Meta(pattern=r"\A[A-Za-z][A-Za-z0-9-]*\Z")]
    format: str = "%(token)s"


class Needs(Struct, frozen=True, forbid_unknown_fields=True):
    """What must be there for the app to start: Python packages in the project's environment,
    programs, and files at the top of the project."""

    packages: tuple[_File, ...] = ()
    commands: tuple[_File, ...] = ()
    files: tuple[_File, ...] = ()


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """One app. ``template`` is the node's environment that it runs from; without one it runs
    from the project's. ``timeout`` is in seconds, from launch to the first answer."""

    name: _Name
    title: _Text
    icon: _Text
    command: Annotated[tuple[_Word, ...], Meta(min_length=1)]
    category: Annotated[str, Meta(max_length=60)] = ""
    #: Further variables, with the same placeholders as the command.
    environment: dict[_Variable, _Word] = {}
    #: Where it runs, below the project's directory.
    directory: _Folder = ""
    #: Whether it listens on ``%(socket)s``; else on ``%(port)s`` of the loopback address. Where it
    #: is not said, the command tells.
    unix_socket: bool | None = None
    #: Whether the app gets the whole path of a request, or what follows the app's own prefix.
    prefix: Literal["keep", "strip"] = "keep"
    landing: _Path = ""
    readiness: _Path = ""
    #: Which answers mean that it is ready; none: every one below 500.
    ready_status: tuple[_Status, ...] = ()
    template: str | None = None
    kernels: bool = False
    token: Token | None = None
    needs: Needs = Needs()
    #: Whether it may run for visitors who did not sign in, as the node's ``anon_user``.
    anonymous: bool = False
    #: Where its tile stands among the others.
    order: int = 100
    timeout: Annotated[float, Meta(gt=0, le=600)] = 60.0
    limits: Limits = Limits()

    @property
    def has_port(self) -> bool:
        """Whether it listens on a port, which every account of the machine could reach."""
        return "port" in self.used if self.unix_socket is None else not self.unix_socket

    @property
    def used(self) -> set[str]:
        """The names of all placeholders in it."""
        texts = (*self.command, *self.environment.values())
        return {name for text in texts for name in _PLACEHOLDER.findall(text)}

    @property
    def offer(self) -> AppOffer:
        return AppOffer(self.name, self.title, self.icon, self.landing, self.category)

    def command_line(self, values: Mapping[str, str]) -> list[str]:
        """Return the command with its placeholders filled in."""
        return [_filled(part, values) for part in self.command]

    def variables(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the further variables with their placeholders filled in."""
        return {name: _filled(text, values) for name, text in self.environment.items()}

    def is_ready(self, status: int) -> bool:
        """Say whether the app is ready that answers ``readiness`` with ``status``."""
        return status in self.ready_status if self.ready_status else status < 500

    def mistake(self) -> str | None:
        """Return what is wrong with fields that are right each for itself."""
        unknown = sorted(self.used - PLACEHOLDERS)
        if unknown:
            return f"uses %({unknown[0]})s, which this node cannot fill in"
        if self.template is not None and self.template not in NAMES:
            return f"names the template {self.template}, which does not exist"
        if {"socket", "port"} <= self.used:
            return "uses both %(socket)s and %(port)s: an app listens on one of them"
        if not {"socket", "port"} & self.used:
            return "uses neither %(socket)s nor %(port)s, so nothing tells the app where to listen"
        if self.has_port != ("port" in self.used):
            wanted = "port" if self.has_port else "socket"
            return f"has unix_socket {str(self.unix_socket).lower()} but no %({wanted})s"
        return None


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
