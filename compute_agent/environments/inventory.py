"""What is in the environments of a project, for its page: told from names, not by running anything.

All of it is users'. It is walked by descriptors, no link is followed, and of what is read only names,
versions, addresses and hashes of packages are passed on.
"""

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from compute_agent.environments import listing
from compute_agent.environments.listing import ENVIRONMENTS
from compute_agent.envtool.conda_meta import META
from compute_agent.envtool.kinds import Kind
from compute_agent.host import directories
from compute_agent.host.access import Who, granted
from compute_agent.host.directories import names
from compute_agent.host.errors import HostError
from compute_agent.protocol import EnvironmentInfo, PackageInfo

#: Seconds after which no more files are counted.
PATIENCE = 2.0
_MOST, _MOST_PACKAGES = 100, 5000
_DEEPEST = 60
_BLOCK = 512
#: Of one record of a conda package, and of all that an export reads, in bytes.
_RECORD_BYTES, _ALL_BYTES = 8 << 20, 256 << 20
_CONDA = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.json")
_PYTHON = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.(dist|egg)-info")
_SITE = re.compile(r"python\d+\.\d+")


class NoEnvironment(HostError):
    """None of that name is there, or none that the one who asks may look into."""


class Size(NamedTuple):
    """Bytes of all files, and of those that are shared with nothing."""

    all: int
    own: int


class Inventory:
    """Remembers sizes: counting the files of an environment takes a while."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[int, ...], Size] = {}

    def environments(self, project: int, who: Who | None) -> tuple[EnvironmentInfo, ...]:
        """Return the environments that ``who`` may look into; ``None`` may look into all."""
        until = time.monotonic() + PATIENCE
        found = []
        with _opened_envs(project, who) as envs:
            if envs is None:
                return ()
            for name in sorted(os.listdir(envs)):  # noqa: PTH208
                with contextlib.suppress(HostError, OSError):
                    found += self._look(project, envs, name, who, until)
                if len(found) >= _MOST:
                    break
        return tuple(found)

    def _look(
        self, project: int, envs: int, name: str, who: Who | None, until: float
    ) -> list[EnvironmentInfo]:
        known = listing.kind(project, name) if listing.is_name(name) else None
        if known is None:
            return []
        with directories.opened(name, envs) as environment:
            if not _may_look(environment, who):
                return []
            size = self._size(environment, until)
            count = len(packages(environment))
        return [
            EnvironmentInfo(
                name, known.maker, known.python, known.r, count,
                size.all if size else None, size.own if size else None,
            )
        ]  # fmt: skip

    def _size(self, environment: int, until: float) -> Size | None:
        key = _state(environment)
        if key not in self._sizes:
            counted = _count(environment, os.fstat(environment).st_dev, until)
            if counted is None:
                return None
            while len(self._sizes) >= 500:
                self._sizes.pop(next(iter(self._sizes)), None)
            self._sizes[key] = counted
        return self._sizes[key]


def one(project: int, name: str, who: Who | None, export: bool) -> tuple[list[PackageInfo], str]:
    """Return the packages of an environment and, where wanted, what makes the same again.

    Raises ``NoEnvironment`` for one that is not there, or that ``who`` may not look into.
    """
    known = listing.kind(project, name)
    with _opened_envs(project, who) as envs:
        if known is None or envs is None:
            raise _none_there(name)
        with directories.opened(name, envs) as environment:
            if not _may_look(environment, who):
                raise _none_there(name)
            found = packages(environment)
            return found, _exported(environment, known, found) if export else ""


def packages(environment: int) -> list[PackageInfo]:
    """Return what is installed, as the names of its records say."""
    conda = [PackageInfo(match["name"], match["version"], "conda")
             for name in names(environment, META) if (match := _CONDA.fullmatch(name))]  # fmt: skip
    theirs = {normal(package.name) for package in conda}
    pip = []
    for version in filter(_SITE.fullmatch, names(environment, "lib")):
        for name in names(environment, "lib", version, "site-packages"):
            match = _PYTHON.fullmatch(name)
            if match and normal(match["name"]) not in theirs:
                pip.append(PackageInfo(match["name"].replace("_", "-"), match["version"], "pip"))
    return sorted([*conda, *pip], key=lambda package: package.name.lower())[:_MOST_PACKAGES]


# --- what makes the same again -------------------------------------------------------------------


class _Record(Struct):
    """What is taken from a record of a conda package."""

    url: str = ""
    sha256: str | None = None
    md5: str | None = None


_records: msgspec.json.Decoder[_Record] = msgspec.json.Decoder(_Record)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s@#]+")
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")


def _exported(environment: int, known: Kind, found: list[PackageInfo]) -> str:
    pip = [f"{package.name}=={package.version}" for package in found if package.source == "pip"]
    if known.maker != "conda":
        return "\n".join([*pip, ""])
    urls = sorted(_addresses(environment))
    return "\n".join(["@EXPLICIT", *urls, *(f"# pip {line}" for line in pip), ""])


def _addresses(environment: int) -> Iterator[str]:
    left = _ALL_BYTES
    with directories.opened(META, environment) as meta:
        for name in os.listdir(meta):  # noqa: PTH208
            if not _CONDA.fullmatch(name):
                continue
            data = directories.read_small(name, meta, _RECORD_BYTES)
            left -= len(data)
            if left < 0:
                raise HostError("This environment is too large to be exported here.",
                                "aen env export does it in a terminal.")  # fmt: skip
            yield _address(name, data)


def _address(name: str, data: bytes) -> str:
    try:
        record = _records.decode(data)
    except msgspec.MsgspecError:
        record = _Record()
    if not _URL.fullmatch(record.url):
        raise HostError(f"The record of {name.removesuffix('.json')} does not say where it is from.",
                        "Make the environment anew to export it.")  # fmt: skip
    digest = record.sha256 or record.md5 or ""
    if not _HASH.fullmatch(digest):
        return record.url
    return f"{record.url}#{'sha256:' if len(digest) == 64 else ''}{digest}"


# --- parts ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened_envs(project: int, who: Who | None) -> Iterator[int | None]:
    """Open ``envs``; ``None`` where it is missing or closed to ``who``."""
    if not _may_look(project, who):
        yield None
        return
    try:
        envs = os.open(ENVIRONMENTS, directories.OPEN, dir_fd=project)
    except OSError:
        yield None
        return
    try:
        yield envs if _may_look(envs, who) else None
    finally:
        os.close(envs)


def _may_look(directory: int, who: Who | None) -> bool:
    return who is None or granted(directory, os.fstat(directory), who).effective & 5 == 5


def _none_there(name: str) -> NoEnvironment:
    return NoEnvironment(f"There is no environment {name} here.", "The list shows all.")


def normal(name: str) -> str:
    """Return the name of a package as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _state(environment: int) -> tuple[int, ...]:
    """Return what differs once packages were added, replaced or removed."""
    info = os.fstat(environment)
    state = [info.st_dev, info.st_ino, info.st_ctime_ns]
    sites = [("lib", name, "site-packages") for name in names(environment, "lib")]
    for parts in [(META,), *filter(lambda parts: _SITE.fullmatch(parts[1]), sites)]:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            below = environment
            for part in parts:
                below = stack.enter_context(directories.opened(part, below))
            state.append(os.fstat(below).st_mtime_ns)
    return tuple(state)


def _count(directory: int, device: int, until: float, depth: int = 0) -> Size | None:
    """Count all files below a directory, on its file system; ``None`` once time is up."""
    if time.monotonic() > until:
        return None
    total = own = os.fstat(directory).st_blocks * _BLOCK
    below = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    below.append(entry.name)
                elif info.st_dev == device:
                    total += info.st_blocks * _BLOCK
                    own += info.st_blocks * _BLOCK if info.st_nlink == 1 else 0
    for name in below if depth < _DEEPEST else ():
        with contextlib.suppress(OSError), directories.opened(name, directory) as inner:
            counted = _count(inner, device, until, depth + 1)
            if counted is None:
                return None
            total, own = total + counted.all, own + counted.own
    return Size(total, own)
