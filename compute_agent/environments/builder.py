"""Running what unpacks and starts packages as an account number that nobody has.

Packages hold programs of others: as root they are not even unpacked. What came of it is taken over
only when none of the builder's processes is left, and file by file.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from compute_agent.host import privileges, process
from compute_agent.host.errors import HostError

# Between the ranges that systemd's list of account numbers gives to somebody.
_NUMBERS = range(60578, 60706)
_TRIES = 500


class Workshop(NamedTuple):
    """Where a builder works: ``inner`` is its own; ``account`` is ``None`` for this process's."""

    outer: Path
    inner: Path
    account: int | None


@contextlib.contextmanager
def workshop(parent: Path) -> Iterator[Workshop]:
    """Make a place in ``parent`` for one build; at the end nothing is left of it."""
    outer = parent / f".build-{secrets.token_hex(4)}"
    inner = outer / "w"
    account = _free_number() if privileges.serves_others() else None
    outer.mkdir(mode=0o711)
    try:
        outer.chmod(0o711)  # to pass through, not to list
        inner.mkdir(mode=0o700)
        if account is not None:
            os.chown(inner, account, account)
        yield Workshop(outer, inner, account)
    finally:
        if account is not None:
            _end_all(account)
        shutil.rmtree(outer, ignore_errors=True)


def take_over(shop: Workshop, made: Path, place: Path) -> None:
    """Move what was made to ``place``, as the node's own and for all to read.

    Raises ``HostError`` for something in it that is not the builder's.
    """
    shop.outer.chmod(0o700)
    if shop.account is not None:
        _end_all(shop.account)
    for folder, names, files in os.walk(made, topdown=False):
        for name in (*names, *files):
            _take(Path(folder, name), shop.account)
    _take(made, shop.account)
    made.rename(place)


def _take(path: Path, account: int | None) -> None:
    info = path.lstat()
    if account is not None and info.st_uid != account:
        raise HostError(f"A package left something that is not its own: {path.name}.")
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) or path.is_symlink()):
        path.unlink()
        return
    if account is not None:
        os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
    if not path.is_symlink():
        executable = stat.S_ISDIR(info.st_mode) or info.st_mode & 0o111
        path.chmod(0o755 if executable else 0o644)


def _free_number() -> int:
    used = {Path(f"/proc/{pid}").stat().st_uid for pid in _living()}
    for _ in range(_TRIES):
        number = secrets.choice(_NUMBERS)
        with contextlib.suppress(KeyError):
            pwd.getpwuid(number)
            continue
        if number not in used:
            return number
    raise HostError("No account number is free to build environments with.")


def _living() -> Iterator[int]:
    for pid in process.all_pids():
        if Path(f"/proc/{pid}").exists():
            yield pid


def _end_all(account: int) -> None:
    """Kill every process of the account, until there is none."""
    while found := [pid for pid in process.all_pids() if _owner(pid) == account]:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def _owner(pid: int) -> int | None:
    """Return the account of a process that is not over."""
    try:
        known = process.read_stat(pid)
        return None if known is None or known.state in "ZX" else Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None
