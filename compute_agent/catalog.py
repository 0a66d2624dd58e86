"""The apps a node offers, each described by one JSON file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from compute_agent import ports
from compute_agent.config import Config
from compute_agent.descriptor import Descriptor
from compute_agent.host import guarded, privileges
from compute_agent.host.errors import HostError
from compute_agent.protocol import ENVIRONMENTS_APP, AppOffer

BUILT_IN = Path(__file__).parent / "apps.d"
#: Apps that come with AEN and are offered where the node's option ``apps`` names them.
OPTIONAL = Path(__file__).parent / "apps.d-optional"


class Catalog(Struct, frozen=True):
    """All usable apps by name, and what is wrong with the others."""

    apps: dict[str, Descriptor]
    problems: tuple[str, ...] = ()

    @property
    def offers(self) -> tuple[AppOffer, ...]:
        apps = sorted(self.apps.values(), key=lambda app: (app.order, app.title))
        return tuple(app.offer for app in apps)

    def without(self, names: Sequence[str], why: str) -> "Catalog":
        """Return the catalog without these apps, each with a problem that says ``why``."""
        apps = {name: app for name, app in self.apps.items() if name not in names}
        return Catalog(apps, (*self.problems, *(_not_offered(name, why) for name in names)))


def of_node(config: Config) -> Catalog:
    """Return the apps of a node with this configuration, as far as it can run them safely."""
    chosen = [OPTIONAL / f"{name}.json" for name in config.apps]
    own = _files(Path(config.apps_dir)) if config.apps_dir else []
    unsafe = dict(_unsafe(own)) if privileges.serves_others() else {}
    safe = [path for path in own if path not in unsafe]
    catalog = _load([*_files(BUILT_IN), *chosen, *safe])
    catalog = Catalog(catalog.apps, (*catalog.problems, *unsafe.values()))
    open_to_all = [app.name for app in catalog.apps.values() if app.has_port]
    if open_to_all and (lack := ports.why_not()):
        why = f"it listens on a port, and this node cannot keep other accounts from it: {lack}."
        return catalog.without(open_to_all, why)
    return catalog


def load(*directories: Path) -> Catalog:
    """Return the apps described in ``directories``; a later one replaces an earlier by name."""
    return _load([path for place in directories for path in _files(place)])


def _unsafe(files: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each description that is not an administrator's alone, and that it is not used."""
    for path in files:
        try:
            guarded.require(path)
        except HostError as error:
            yield path, f"{path} is not used: {error.cause} {error.mend}"


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.json"))


def _load(files: Sequence[Path]) -> Catalog:
    """Read ``files``, of which a later one replaces an earlier of its name.

    A description that cannot be used takes its app away and adds a problem; it stops nothing else.
    """
    apps: dict[str, Descriptor] = {}
    problems = []
    for path in files:
        apps.pop(path.stem, None)
        try:
            descriptor = _read(path)
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            problems.append(_not_offered(path.stem, f"{path} {_reason(error, path)}."))
        else:
            apps[descriptor.name] = descriptor
    return Catalog(apps, tuple(problems))


def _read(path: Path) -> Descriptor:
    descriptor = msgspec.json.decode(path.read_bytes(), type=Descriptor)
    if descriptor.name != path.stem:
        raise ValueError(f"describes {descriptor.name}, so it must be named {descriptor.name}.json")
    if descriptor.name == ENVIRONMENTS_APP:
        raise ValueError("has a name that the node needs for itself")
    if mistake := descriptor.mistake():
        raise ValueError(mistake)
    return descriptor


def _not_offered(name: str, why: str) -> str:
    return f"The app {name} is not offered: {why}"


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, msgspec.DecodeError):
        return f"is not right ({error})"
    if isinstance(error, FileNotFoundError) and path.parent == OPTIONAL:
        return f"does not exist. The option apps can name {_listed(_optional())}"
    return str(error) if isinstance(error, ValueError) else f"cannot be read ({error})"


def _optional() -> Iterator[str]:
    return (path.stem for path in _files(OPTIONAL))


def _listed(names: Iterator[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"
