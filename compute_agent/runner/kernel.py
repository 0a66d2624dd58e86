"""Calls of the kernel that Python 3.11 does not know."""

import ctypes
import os
import struct

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_SLAVE = 2, 4, 8, 4096, 16384, 1 << 19

_MOST_CAPABILITIES = 64
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def unshare(flags: int) -> None:
    if _libc.unshare(flags) != 0:
        raise _error("unshare")


def setns(namespace: int, kind: int) -> None:
    if _libc.setns(namespace, kind) != 0:
        raise _error("setns")


def set_name(name: str) -> None:
    """Give this process a name that ``ps -o comm`` shows, cut to 15 characters."""
    _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    encoded = (os.fsencode(source), os.fsencode(target), kind.encode())
    if _libc.mount(*encoded, ctypes.c_ulong(flags), options.encode()) != 0:
        raise _error(target)


def drop_bounds() -> None:
    """Bar this process from all capabilities for good, where it may; nothing hangs on it."""
    for number in range(_MOST_CAPABILITIES):
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            return  # without CAP_SETPCAP, or there are no more


def drop_capabilities() -> None:
    """Give up all capabilities: from one ordinary account to another the kernel keeps them."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = struct.pack("<Ii", 0x20080522, 0)
    if _libc.capset(header, bytes(24)) != 0:
        raise _error("capset")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
