"""A real HAProxy in front of a gateway process, as the configuration that we render has it."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from fake_parts import eventually

from deploy.haproxy import Sockets, render

PROGRAM = shutil.which("haproxy") or "/usr/sbin/haproxy"
ABSENT = (
    "" if Path(PROGRAM).exists() else "haproxy is not on this machine (apt-get install haproxy)"
)


class Haproxy:
    """``with``out a system's service: an ordinary process that a test starts and ends."""

    def __init__(self, place: Path, agent: Path, url: str, *, slots: int = 256, **wishes) -> None:
        self._place = place
        self.sockets = Sockets(place / "haproxy.sock", place / "gateway.sock", agent)
        self.port = int(url.rpartition(":")[2])
        self._config = place / "haproxy.cfg"
        self.log = place / "haproxy.log"
        self._config.write_text(render(url, self.sockets, slots=slots, **wishes))
        self._processes: list[subprocess.Popen] = []

    @property
    def config(self) -> dict[str, str]:
        """What the gateway's file says of it."""
        runtime, listen, agent = map(str, self.sockets.__dict__.values())
        return {"runtime": runtime, "listen": listen, "agent": f"unix:{agent}"}

    @property
    def pid(self) -> int:
        return self._processes[-1].pid

    @property
    def running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    @property
    def alive(self) -> list[int]:
        """The processes that run, the newest last."""
        return [process.pid for process in self._processes if process.poll() is None]

    def start(self, *more: str, before: tuple[str, ...] = ()) -> "Haproxy":
        """Run it, ``before`` the program's name being for instance ``taskset``."""
        command = [*before, PROGRAM, "-db", "-f", str(self._config), *more]
        with self.log.open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self._processes.append(process)
        eventually(lambda: self._answers(process))
        return self

    def _answers(self, process) -> bool:
        assert process.poll() is None, self.log.read_text()
        try:
            return f"Pid: {process.pid}\n" in self.ask("show info")
        except OSError:
            return False

    def ask(self, command: str) -> str:
        """Return what it says to a command on its runtime socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.sockets.runtime))
            sock.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode("latin-1")

    @property
    def entries(self) -> list[str]:
        """What stands in its map."""
        return [line for line in self.ask("show map /dev/null").split("\n") if line]

    def reload(self) -> None:
        """Begin a process that takes over the sockets; the one before ends what it has."""
        old = self._processes[-1]
        self.start("-x", str(self.sockets.runtime), "-sf", str(old.pid))

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        deadline = time.monotonic() + 5
        for process in self._processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
