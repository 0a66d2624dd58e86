"""The agent's hold on runners: it knows them again, and hears when they end."""

import asyncio
import os
import signal
from pathlib import Path

import msgspec
from msgspec import Struct

from compute_agent.host import process
from compute_agent.stored import RunnerId


class Exit(Struct, frozen=True):
    """How an app ended, as its runner wrote it down."""

    code: int | None = None
    signal: int | None = None
    stopped: bool = False
    error: str = ""
    at: float = 0.0

    @property
    def was_killed(self) -> bool:
        """Whether it was killed, or a shell says so of what it ran."""
        return self.signal == signal.SIGKILL or self.code == 128 + signal.SIGKILL


class Runner:
    """A runner that lives, held by a pidfd; ``ended`` is set once it is gone."""

    def __init__(self, identity: RunnerId, fd: int) -> None:
        self.identity = identity
        self.ended = asyncio.Event()
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self._gone)

    def stop(self) -> None:
        """Ask it to end the app: gently first, then with force."""
        try:
            signal.pidfd_send_signal(self._fd, signal.SIGTERM)
        except OSError:
            return

    def release(self) -> None:
        """Stop watching; the runner and its app go on."""
        if not self.ended.is_set():
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)

    def _gone(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        self.ended.set()


def adopt(identity: RunnerId | None, directory: Path) -> Runner | None:
    """Return the runner that an earlier agent started for ``directory``, if it still lives."""
    identity = identity or _unrecorded(directory)
    if identity is None or identity.boot != process.boot_id():
        return None
    fd = process.open_pidfd(identity.pid, identity.start)
    return None if fd is None else Runner(identity, fd)


def _unrecorded(directory: Path) -> RunnerId | None:
    """Return a runner whose agent was killed before it wrote down that it had started it."""
    try:
        return msgspec.json.decode((directory / "runner.json").read_bytes(), type=RunnerId)
    except (OSError, msgspec.MsgspecError):
        return None


def read_exit(directory: Path) -> Exit | None:
    """Return what the runner wrote at its end; ``None`` when it was killed before."""
    try:
        return msgspec.json.decode((directory / "exit.json").read_bytes(), type=Exit)
    except (OSError, msgspec.MsgspecError):
        return None
