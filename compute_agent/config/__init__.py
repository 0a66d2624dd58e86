"""The node's configuration: typed, read from several files, the last one winning option by option."""

import pwd
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from compute_agent.config import reading
from compute_agent.config.options import Config, ConfigError, Tls
from compute_agent.config.reading import Given, Source

__all__ = [
    "DEFAULT_FILES",
    "FILES",
    "START_PROJECT_FILE",
    "Config",
    "ConfigError",
    "Loaded",
    "Source",
    "Tls",
    "load",
    "load_all",
    "service_uid",
]

#: Read in this order before the file given with ``-c``; those that do not exist are skipped.
DEFAULT_FILES = (
    Path("/etc/wakari/config.json"),
    Path("/etc/wakari/compute-launcher-config.json"),
    Path("compute-launcher-config.json"),
)
#: Options of starting a project only; read after the others, before the file given with ``-c``.
START_PROJECT_FILE = Path("/etc/wakari/scripts/config.json")
FILES = (*DEFAULT_FILES, START_PROJECT_FILE)


class Loaded(NamedTuple):
    """The options in force, where each that is not a default came from, and the files.

    ``sources`` is by option, and by ``tls.<key>`` for what is inside ``tls``; ``files`` are those
    looked for, in their order, with whether they were there.
    """

    config: Config
    sources: dict[str, Source]
    files: tuple[tuple[Path, bool], ...]


def load(extra: Path | None = None, files: Sequence[Path] = FILES) -> Config:
    """Return the configuration of all the files together; see ``load_all``."""
    return load_all(extra, files).config


def load_all(extra: Path | None = None, files: Sequence[Path] = FILES) -> Loaded:
    """Read the files in their order, and ``extra`` last.

    Raises ``ConfigError`` with every problem of every file: one that cannot be read, options that
    are unknown or do not fit, and values that do not fit together.
    """
    looked_for = [(path, _is_there(path)) for path in files] + ([(extra, True)] if extra else [])
    read = [reading.read(path) for path, is_there in looked_for if is_there]
    given: dict[str, Given] = {}
    for file in read:
        given |= file.given
    problems = [problem for file in read for problem in file.problems]
    problems += [] if problems else _conflicts(given)
    if problems:
        raise ConfigError(*problems)
    config = msgspec.convert({option: one.value for option, one in given.items()}, Config)
    return Loaded(config, _sources(given), tuple(looked_for))


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass  # reading it says what is wrong
    return True


def _sources(given: dict[str, Given]) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for option, one in given.items():
        sources[option] = one.source
        sources |= {f"{option}.{key}": source for key, source in one.inside.items()}
    return sources


def _conflicts(given: dict[str, Given]) -> list[str]:
    """Return what does not fit together, at the line of the option that needs the other."""
    values: dict[str, Any] = {option: one.value for option, one in given.items()}
    config = msgspec.convert(values, Config)
    problems = []
    if config.socket_path is None and config.tls is None:
        problems.append(f"{_at(given, 'listen')}tls: is needed to listen on a network port")
    if config.anon_user and config.anon_user in (config.service_account, "root"):
        said = f"{config.anon_user} is no account for visitors: it is the node's own"
        problems.append(f"{_at(given, 'anon_user')}anon_user: {said}")
    return problems


def _at(given: dict[str, Given], option: str) -> str:
    source = given[option].source if option in given else None
    return f"{source.file}:{source.line}: " if source else ""


def service_uid(config: Config) -> int | None:
    """Return the uid of the service account, or ``None`` where there is no such account."""
    try:
        return pwd.getpwnam(config.service_account).pw_uid
    except KeyError:
        return None
