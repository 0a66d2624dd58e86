"""One running site for each ``AEN_HOME``: a file lock that its process holds while it lives."""

import fcntl
import os
from pathlib import Path

from deploy.say import Problem


def take(path: Path) -> int:
    """Lock ``path`` and write our process id in it; return the descriptor that holds the lock.

    Raises ``Problem`` naming the process that has it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)  # whoever can read a file can lock it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 20).decode().strip() or "unknown"
        os.close(descriptor)
        raise Problem(
            f"AEN is already running from {path.parent.parent} (process {holder}).",
            "",
            f"End it with Ctrl-C in its terminal or with: kill {holder}\n"
            "For a second site set AEN_HOME, AEN_SERVER_PORT and AEN_GATEWAY_PORT to others.",
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def hand_over(descriptor: int) -> None:
    """Let the lock outlive an ``exec``."""
    os.set_inheritable(descriptor, True)


def receive(descriptor: int) -> None:
    """After an ``exec``: keep the lock to ourselves, so that no child holds it after our end."""
    os.set_inheritable(descriptor, False)
