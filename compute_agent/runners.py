"""The agent's hold on runners: it starts them, knows them again, and hears when they end."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from compute_agent.host import privileges, process
from compute_agent.record import RunnerId

_PROGRAM = Path(__file__).parent / "runner/__main__.py"


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

    def __init__(self, identity: RunnerId, fd: int, child: subprocess.Popen[bytes] | None) -> None:
        self.identity = identity
        self.ended = asyncio.Event()
        self._fd = fd
        self._child = child
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
        if self._child is not None:
            self._child.wait()
        self.ended.set()


def start(directory: Path, spec: dict[str, Any]) -> Runner:
    """Start a runner for the app in ``directory``. Must be called in the event loop's thread.

    It gets a session of its own, so that nothing that ends the agent's group ends it.
    """
    with (
        (directory / "runner.err").open("wb") as errors,
        privileges.handed_down(privileges.OF_RUNNERS),
    ):
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            cwd="/",
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(json.dumps(spec).encode())
    try:
        stat = process.read_stat(child.pid)
        identity = RunnerId(child.pid, stat.start if stat else 0, process.boot_id())
        return Runner(identity, os.pidfd_open(child.pid), child)
    except OSError:  # no runner that nobody watches
        child.kill()
        child.wait()
        raise


def adopt(identity: RunnerId | None, directory: Path) -> Runner | None:
    """Return the runner that an earlier agent started for ``directory``, if it still lives."""
    identity = identity or _unrecorded(directory)
    if identity is None or identity.boot != process.boot_id():
        return None
    fd = process.open_pidfd(identity.pid, identity.start)
    return None if fd is None else Runner(identity, fd, None)


def _unrecorded(directory: Path) -> RunnerId | None:
    """Return a runner whose agent was killed before it wrote down that it had started it."""
    try:
        pid = int(json.loads((directory / "runner.json").read_bytes())["pid"])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError, KeyError):
        return None
    stat = process.read_stat(pid)
    if stat is None or os.fsencode(directory) not in arguments:
        return None
    return RunnerId(pid, stat.start, process.boot_id())


def read_exit(directory: Path) -> Exit | None:
    """Return what the runner wrote at its end; ``None`` when it was killed before."""
    try:
        return msgspec.json.decode((directory / "exit.json").read_bytes(), type=Exit)
    except (OSError, msgspec.MsgspecError):
        return None
