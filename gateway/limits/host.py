"""What the kernel does for the limits: open files, peers that are gone, readers that read nothing."""

import contextlib
import resource
import socket
from typing import Any

#: Files that are not browsers' or apps' connections: logs, listeners, wires, questions.
_SET_ASIDE = 256
_MOST_FILES = 131_072
#: A peer that is silent for so long is asked whether it is still there: seconds, times.
_IDLE, _BETWEEN, _TIMES = 60, 20, 5


def raise_open_files() -> None:
    """Take as many open files as the process may have: each request under way needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """Return how many browsers' connections the files suffice for, each with one to an app."""
    return max((resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SET_ASIDE) // 2, 64)


def watch_peer(sock: Any, reader_seconds: float) -> None:
    """Have the kernel end a connection whose peer is gone, or takes nothing for so long."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _IDLE),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _BETWEEN),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _TIMES),
    ]
    if reader_seconds:
        options.append((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * reader_seconds)))
    with contextlib.suppress(OSError):
        for level, option, value in options:
            sock.setsockopt(level, option, value)
