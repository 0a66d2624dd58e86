"""What this process may do for other accounts, and how little of it reaches what it starts.

A node serves its users' accounts as root, or as an account of its own that was given the
capabilities below. They are the process's own: a program that it starts gets none of them but
inside ``handed_down``. As root the kernel gives them to every program that root starts.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from compute_agent.host.errors import HostError

#: Each capability that is needed: its number (linux/capability.h), and what for.
NEEDED = {
    "chown": (0, "give files to the people whose they are"),
    "dac_override": (1, "work in directories that people closed to others"),
    "fowner": (3, "set rights and access lists on people's files"),
    "fsetid": (4, "keep the setgid bit of directories of people's groups"),
    "kill": (5, "end people's apps"),
    "setgid": (6, "start apps with their users' groups"),
    "setuid": (7, "start apps as their users' accounts"),
}
#: What a runner needs, the programs that change accounts, and the processes that share a pass.
OF_RUNNERS = ("setuid", "setgid", "kill")
OF_ACCOUNT_TOOLS = ("chown", "dac_override", "fowner", "fsetid")
OF_PASSES = ("chown", "dac_override", "fowner", "fsetid")

_PR_CAP_AMBIENT, _AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 47, 2, 4
_VERSION_3 = 0x20080522
_HALVES = 2
_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Half(ctypes.Structure):
    """32 of the 64 capabilities, in each of the three sets."""

    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


@cache
def serves_others() -> bool:
    """Say whether apps run as their users' accounts; else all run as the account of this process.

    Raises ``HostError`` where this process has some of the capabilities and lacks others.
    """
    missing = missing_of(effective())
    if missing and (os.geteuid() == 0 or len(missing) < len(NEEDED)):
        raise HostError(
            f"This node's agent lacks {_listed(missing)}.",
            "Give it all the capabilities that docs/admin/node.md lists, or none to run every app "
            "as one person.",
        )
    return not missing


def mode() -> str:
    """Return ``root`` where apps run as their users' accounts, else ``single``."""
    return "root" if serves_others() else "single"


def effective() -> int:
    """Return this thread's effective capabilities, one bit for each number."""
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def missing_of(capabilities: int) -> list[str]:
    """Return the names of those that are needed and not among ``capabilities``."""
    return [name for name, (number, _) in NEEDED.items() if not capabilities >> number & 1]


def _listed(names: list[str]) -> str:
    return " and ".join(f"CAP_{name.upper()} (needed to {NEEDED[name][1]})" for name in names)


def keep_to_self() -> None:
    """Have the programs that this process starts get no capability. Call before other threads."""
    if os.geteuid() != 0:
        _clear_ambient()
        _set_inheritable(0)


@contextlib.contextmanager
def handed_down(names: tuple[str, ...]) -> Iterator[None]:
    """Let the programs that this thread starts in the block have these capabilities."""
    if os.geteuid() == 0 or not serves_others():
        yield
        return
    numbers = [NEEDED[name][0] for name in names]
    try:
        _set_inheritable(sum(1 << number for number in numbers))
        for number in numbers:
            _prctl_ambient(_AMBIENT_RAISE, number)
        yield
    finally:
        _clear_ambient()
        _set_inheritable(0)


def _clear_ambient() -> None:
    _prctl_ambient(_AMBIENT_CLEAR_ALL, 0)


def _prctl_ambient(what: int, number: int) -> None:
    if _libc.prctl(_PR_CAP_AMBIENT, what, number, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_CAP_AMBIENT)")


def _set_inheritable(capabilities: int) -> None:
    """Set this thread's inheritable capabilities, and leave its others as they are."""
    header, halves = _Header(_VERSION_3, 0), (_Half * _HALVES)()
    if _libc.capget(ctypes.byref(header), halves) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    halves[0].inheritable, halves[1].inheritable = capabilities & 0xFFFFFFFF, capabilities >> 32
    if _libc.capset(ctypes.byref(header), halves) != 0:
        raise OSError(ctypes.get_errno(), "capset")
