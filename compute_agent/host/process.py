"""Processes by their id: how they are recognised again, watched, and tied to their parent."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """The part of ``/proc/<pid>/stat`` that we use; ``start`` is in clock ticks since boot, ``cpu``
    in seconds, that of children which were waited for included."""

    pid: int
    state: str
    parent: int
    start: int
    memory: int
    cpu: float = 0.0


def die_with_parent(sig: int = signal.SIGKILL) -> None:
    """Have the kernel end this process when the one that started it ends.

    A service that outlived its killed supervisor would keep its port and block the restart.
    """
    parent = os.getppid()
    if _libc.prctl(_PR_SET_PDEATHSIG, sig, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended between the two calls
        os.kill(os.getpid(), sig)


def read_stat(pid: int) -> Stat | None:
    """Return what ``/proc`` says of the process, or ``None`` when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name in brackets may hold anything, spaces and brackets included.
    fields = text[text.rindex(b")") + 2 :].split()
    memory = int(fields[21]) * _PAGE
    cpu = sum(map(int, fields[11:15])) / _TICKS
    return Stat(pid, fields[0].decode(), int(fields[1]), int(fields[19]), memory, cpu)


def all_stats() -> list[Stat]:
    """Return every process of the machine that this one can see."""
    return [stat for stat in map(read_stat, all_pids()) if stat is not None]


def all_pids() -> list[int]:
    """Return the ids of all processes of the machine that this one can see."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def descendants(root: int, stats: Iterable[Stat]) -> list[Stat]:
    """Return the processes below ``root``, at any depth, without ``root`` itself."""
    children: dict[int, list[Stat]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat)
    found: list[Stat] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [stat.pid for stat in below]
    return found


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine: a start time means nothing in another."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def open_pidfd(pid: int, start: int) -> int | None:
    """Return a pidfd of the process, or ``None`` when it ended or the id is another's by now."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return None
    stat = read_stat(pid)
    if stat is None or stat.start != start or stat.state in "ZX":
        os.close(fd)
        return None
    return fd


def marked(marker: str, uid: int) -> list[int]:
    """Return the processes of ``uid`` whose environment holds ``marker`` (``NAME=value``).

    It finds what an app left behind when the runner that kept it together was killed.
    """
    wanted = marker.encode()
    return [pid for pid in all_pids() if _is_marked(pid, wanted, uid)]


def _is_marked(pid: int, marker: bytes, uid: int) -> bool:
    try:
        if Path(f"/proc/{pid}").stat().st_uid != uid:
            return False
        return marker in read_private(pid, "environ").split(b"\0")
    except OSError:
        return False


def read_private(pid: int, name: str) -> bytes:
    """Return a file in ``/proc/<pid>`` that only the process's own account may read.

    Raises ``OSError``. The kernel lets others read it only with the right to debug every process
    of the machine, which a node has no other use for; so the file is read as that account.
    """
    process = Path(f"/proc/{pid}")
    info = process.stat()
    with _file_access_as(info.st_uid, info.st_gid):
        return (process / name).read_bytes()


@contextlib.contextmanager
def _file_access_as(uid: int, gid: int) -> Iterator[None]:
    """Have this thread, and no other, look at files as ``uid`` and ``gid``."""
    own = os.geteuid(), os.getegid()
    if uid == own[0]:
        yield
        return
    try:
        _libc.setfsgid(gid)
        _libc.setfsuid(uid)
        yield
    finally:
        _libc.setfsuid(own[0])
        _libc.setfsgid(own[1])
