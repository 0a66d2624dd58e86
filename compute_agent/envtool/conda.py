"""Conda packages by rattler: which ones are needed, and putting them into a directory.

Scripts that packages bring for after linking and before unlinking are never run.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import rattler
from rattler import ChannelPriority, InstallerReporter, MatchSpec, PrefixRecord, RepoDataRecord
from rattler.exceptions import InvalidMatchSpecError, SolverError

from .conda_meta import META
from .problem import Problem

Progress = Callable[[str], None]
_SHA256 = 64
_EXPLICIT = re.compile(
    r"(?P<url>(?P<channel>[a-z]+://\S+)/[\w-]+/"
    r"(?P<name>[\w.-]+)-(?P<version>[^-\s/]+)-(?P<build>[\w.]+)\.(conda|tar\.bz2))"
    r"(#(sha256:)?(?P<hash>[0-9a-f]{64}|[0-9a-f]{32}))?"
)


class Wanted(NamedTuple):
    """What an environment is to hold: match specs, or exact packages by URL and hash."""

    specs: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()


def read_file(text: str) -> Wanted:
    """Return what a file of packages names: ``@EXPLICIT`` and URLs, or a match spec a line."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if "@EXPLICIT" in lines:
        return Wanted(explicit=tuple(line for line in lines if line != "@EXPLICIT"))
    return Wanted(specs=tuple(lines))


def installed(prefix: Path) -> list[PrefixRecord]:
    """Return the conda packages in an environment."""
    return [PrefixRecord.from_path(path) for path in sorted((prefix / META).glob("*.json"))]


def requested(records: Sequence[PrefixRecord]) -> list[str]:
    """Return the specs that people asked for, as far as they are written down."""
    return [spec for record in records for spec in record.requested_specs]


def name_of(spec: str) -> str:
    """Return the name of the package that a match spec is about. Raises ``Problem``."""
    try:
        name = MatchSpec(spec).name
    except Exception as error:
        raise _explained(error) from error
    return str(name.normalized) if name else ""


async def solve(
    channels: Sequence[str], wanted: Wanted, present: Sequence[PrefixRecord] = ()
) -> list[RepoDataRecord]:
    """Return the packages that fulfil ``wanted``, those ``present`` kept where that is possible.

    Raises ``Problem``.
    """
    exact = [_Exact.of(line) for line in wanted.explicit]
    try:
        records = await rattler.solve(
            sources=list(dict.fromkeys(one.channel for one in exact)) or list(channels),
            specs=[MatchSpec(spec) for spec in wanted.specs or [one.spec for one in exact]],
            locked_packages=list(present),
            virtual_packages=rattler.VirtualPackage.detect(),
            channel_priority=ChannelPriority.Disabled if exact else ChannelPriority.Strict,
        )
    except Exception as error:
        raise _explained(error, bool(exact)) from error
    _check(records, {one.url: one for one in exact})
    return records


async def install(
    records: Sequence[RepoDataRecord],
    prefix: Path,
    *,
    home: Path,
    cache: Path,
    specs: Sequence[str] = (),
    progress: Progress,
) -> None:
    """Make the packages in ``prefix`` exactly ``records``; files name ``home`` as their prefix.

    Raises ``Problem``.
    """
    try:
        await rattler.install(
            list(records),
            prefix,
            cache_dir=cache,
            execute_link_scripts=False,
            # rattler takes what its own annotation does not name.
            requested_specs=[MatchSpec(spec)._match_spec for spec in specs],
            reporter=_Reporter(progress),  # type: ignore[abstract]
            alternative_target_prefix=home,
        )
    except Exception as error:
        raise _explained(error) from error
    for path in (prefix / META).glob("*.json"):
        with contextlib.suppress(PermissionError):  # another member's, who set it already
            path.chmod(path.stat().st_mode | 0o064)
    for record in records:
        if _has_script(prefix, record):
            progress(f"  {record.name.normalized} has a script for after linking: it was not run")


def run(work: Callable[[], object]) -> None:
    """Run asynchronous ``work`` to its end."""
    asyncio.run(work())  # type: ignore[arg-type]


class _Reporter(InstallerReporter):
    """Says each package once, when it begins to be downloaded and when it is in place."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._names: dict[int, str] = {}

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        self._names[operation] = package_name
        return operation

    def on_download_start(self, cache_entry: int) -> int:
        self._progress(f"  Downloading {self._names.get(cache_entry, 'a package')}")
        return cache_entry

    def on_link_start(self, operation: int, package_name: str) -> int:
        self._progress(f"  Linking {package_name}")
        return operation

    def on_unlink_start(self, operation: int, package_name: str) -> int:
        self._progress(f"  Removing {package_name}")
        return operation


class _Exact(NamedTuple):
    """A package by its URL, in parts; ``hash`` is in hexadecimal digits, or empty."""

    url: str
    channel: str
    spec: str
    hash: str

    @classmethod
    def of(cls, line: str) -> "_Exact":
        found = _EXPLICIT.fullmatch(line)
        if found is None:
            raise Problem(f"{line!r} is no URL of a package.", "Take the lines of aen env export.")
        digest = found["hash"] or ""
        key = "sha256" if len(digest) == _SHA256 else "md5"
        spec = f"{found['name']}=={found['version']}={found['build']}"
        return cls(
            found["url"], found["channel"], f"{spec}[{key}={digest}]" if digest else spec, digest
        )


def _check(records: Sequence[RepoDataRecord], wanted: Mapping[str, _Exact]) -> None:
    """See that just the packages of a file were found, where there is one."""
    for record in records:
        if wanted and record.url not in wanted:
            raise Problem(
                f"The file does not name {record.file_name}, which its packages need.",
                "Export the environment again.",
            )
        # rattler looks at the hashes of what it downloads only.
        if record.url.startswith("file://") and record.sha256 and not _is(record):
            raise _other_hash(record.url)


def _is(record: RepoDataRecord) -> bool:
    """Say whether a local package has the hash that its channel names."""
    try:
        with Path(unquote(urlsplit(record.url).path)).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest() == record.sha256
    except OSError as error:
        raise Problem(f"{record.url} cannot be read: {error.strerror}.") from None


def _other_hash(what: str) -> Problem:
    return Problem(
        f"A package is another than its hash says: {what}",
        "Ask who runs the channel.",
    )


def _has_script(prefix: Path, record: RepoDataRecord) -> bool:
    return (prefix / f"bin/.{record.name.normalized}-post-link.sh").exists()


def _explained(error: Exception, exact: bool = False) -> Problem:
    text = re.sub(r"\s+", " ", str(error)).strip()
    if "No space left" in text:
        return Problem("The disk is full.", "Free space and try again.")
    if "checksum" in text.lower():
        return _other_hash(text[:400])
    if isinstance(error, SolverError) and exact:
        return Problem(
            f"The channel does not have just these packages, with these hashes: {text[:600]}",
            "Export the environment again, or ask who runs the channel.",
        )
    if isinstance(error, SolverError):
        return Problem(f"These packages do not go together: {text[:600]}", "Ask for others.")
    if isinstance(error, InvalidMatchSpecError):
        return Problem(f"A package is not named as conda does it: {text[:300]}")
    return Problem(text[:600], "Check that this machine reaches its channels, and try again.")
