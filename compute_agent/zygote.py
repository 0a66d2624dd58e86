"""The agent's end of the process that runners are forked from (``runner/zygote.py``)."""

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from compute_agent.host import privileges, process
from compute_agent.host.directories import opened
from compute_agent.runner.zygote import receive
from compute_agent.stored import RunnerId

_PROGRAM = Path(__file__).parent / "runner/__main__.py"
_LONGEST_ANSWER = 500
#: Seconds for a fork, on a machine with much else to do.
_PATIENCE = 20.0


class Zygote:
    """Starts runners. Its process begins when it is needed, and again where it was ended.

    All of it blocks, and may be called by several threads.
    """

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def warm_up(self) -> None:
        """Begin the process, so that the first start does not wait for it. Raises ``OSError``."""
        with self._one_at_a_time:
            self._begun()

    def start(self, directory: Path, spec: Mapping[str, object]) -> tuple[RunnerId, int]:
        """Start a runner for the app in ``directory``; return who it is, and a pidfd of it.

        Raises ``OSError``.
        """
        try:
            return self._start(directory, spec)
        except (ConnectionError, TimeoutError):  # somebody killed or stopped the process
            return self._start(directory, spec)

    def end(self) -> None:
        """End the process; runners go on."""
        with self._one_at_a_time:
            self._end()

    # --- parts ---

    def _start(self, directory: Path, spec: Mapping[str, object]) -> tuple[RunnerId, int]:
        # A pipe of its own for each try: a runner that was forked and is not held reads its end.
        told, tell = os.pipe()
        try:
            with opened(directory) as place:
                found = self.fork("rooms" in spec, place, told)
        except BaseException:
            os.close(tell)
            raise
        finally:
            os.close(told)
        with contextlib.suppress(BrokenPipeError), os.fdopen(tell, "wb") as pipe:
            pipe.write(json.dumps(spec).encode())
        return found

    def fork(self, own_view: bool, place: int, told: int) -> tuple[RunnerId, int]:
        """Fork a runner that waits at ``told`` for what to run in the directory ``place``."""
        with self._one_at_a_time:
            try:
                return self._ask(own_view, place, told)
            except (ConnectionError, TimeoutError):
                self._end()
                raise

    def _ask(self, own_view: bool, *fds: int) -> tuple[RunnerId, int]:
        sock = self._begun()
        socket.send_fds(sock, [b"v" if own_view else b"-"], fds)
        answer, held = receive(sock, _LONGEST_ANSWER, 1)
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        if answer.startswith(b"!"):
            number, _, text = answer[1:].decode().partition(" ")
            raise OSError(int(number), text)
        pid, start = map(int, answer.split())
        return RunnerId(pid, start, process.boot_id()), held[0]

    def _begun(self) -> socket.socket:
        """Return the socket of the process.

        It gets a session of its own, so that nothing that ends the agent's group ends it.
        """
        if self._socket is None:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its, privileges.handed_down(privileges.OF_RUNNERS):
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_PROGRAM), "--zygote"],
                    stdin=its.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env={"LANG": "C.UTF-8"},
                    start_new_session=True,
                )
            ours.settimeout(_PATIENCE)
            self._socket = ours
        return self._socket

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
