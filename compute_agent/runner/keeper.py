"""Starts an app, takes its output, waits for its end or for the word to end it."""

import json
import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Any

from compute_agent.runner import kernel
from compute_agent.runner.app import start_app
from compute_agent.runner.log import Log


def write_atomically(directory: int, name: str, content: Mapping[str, object]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(name + ".new", flags, 0o600, dir_fd=directory), "w") as file:
        json.dump(content, file)
    os.rename(name + ".new", name, src_dir_fd=directory, dst_dir_fd=directory)


def start_of(pid: int | str) -> int:
    """Return when the process began, in the kernel's clock ticks since the machine did."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        text = file.read()
    return int(text[text.rindex(b")") + 2 :].split()[19])


def _identity() -> dict[str, object]:
    """Return what tells this process from every other, as the machine sees it."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    # In a view of its own this process's number is 1; /proc is still the machine's.
    return {"pid": int(os.readlink("/proc/self")), "start": start_of("self"), "boot": boot}


# --- ending it -----------------------------------------------------------------------------------


def descendants(root: int) -> list[int]:
    """Return the ids of all processes below ``root``, as ``/proc`` shows them now."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                text = file.read()
        except OSError:
            continue
        parent = int(text[text.rindex(b")") + 2 :].split(None, 2)[1])
        children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass


def kill_all() -> None:
    """Kill every process below this one until the kernel says that none is left.

    Being their subreaper, or the first of their view, this process inherits all that tried to leave
    by a double fork.
    """
    is_first = os.getpid() == 1
    while True:
        # To the first process of a view, -1 is all others in it; /proc shows it other numbers.
        for pid in [-1] if is_first else descendants(os.getpid()):
            _signal(pid, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        # Wait for at least one more to end before looking again.
        select.select([], [], [], 0.002)


class Keeper:
    """Waits for the app, for its output, and for the word to end it."""

    def __init__(self, spec: Mapping[str, Any], directory: int) -> None:
        self._pid = 0
        self._output = -1
        self._grace = float(spec["grace"])
        self._log = Log(directory, int(spec["log_bytes"]))
        self._deadline: float | None = None
        self.stopped = False
        self.status: int | None = None
        # From here on a TERM is remembered, also one that comes before there is an app.
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self, pid: int, output: int) -> None:
        """Return once the app and all that came of it have ended."""
        self._pid, self._output = pid, output
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(wake_read, select.POLLIN)
        poll.register(self._output, select.POLLIN)
        self._reap()
        if self.stopped:
            self._ask_to_end()
        while self.status is None:
            for fd, _ in poll.poll(self._patience()):
                if fd == self._output:
                    self._take_output(poll)
                else:
                    os.read(wake_read, 512)
            self._reap()
            if self.status is None and self._is_overdue():
                _signal(self._pid, signal.SIGKILL)
        kill_all()
        self._drain()

    def _stop(self) -> None:
        first = not self.stopped
        self.stopped = True
        if first and self._pid:
            self._ask_to_end()

    def _ask_to_end(self) -> None:
        self._deadline = time.monotonic() + self._grace
        _signal(self._pid, signal.SIGTERM)
        _signal(self._pid, signal.SIGCONT)

    def _is_overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _patience(self) -> int | None:
        """Return how many milliseconds to wait for an event; ``None`` is as long as it takes."""
        if self._deadline is None:
            return None
        return max(20, int((self._deadline - time.monotonic()) * 1000) + 1)

    def _reap(self) -> None:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self.status = status
        except ChildProcessError:
            return

    def _take_output(self, poll: select.poll) -> None:
        data = os.read(self._output, 65536)
        if data:
            self._log.write(data)
        else:
            poll.unregister(self._output)

    def _drain(self) -> None:
        while select.select([self._output], [], [], 0)[0]:
            data = os.read(self._output, 65536)
            if not data:
                return
            self._log.write(data)


def keep(directory: int, instructions: int) -> None:
    """Run the app whose open directory and instructions these are, until nothing of it is left.

    Called with TERM and CHLD held back, so that none is lost before there is an ear for it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    kernel.set_name("aen-" + os.path.basename(os.readlink(f"/proc/self/fd/{directory}")))
    with os.fdopen(instructions, "rb") as pipe:
        spec = json.loads(pipe.read())  # nothing, where the agent ended meanwhile
    keeper = Keeper(spec, directory)
    write_atomically(directory, "runner.json", _identity())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
    app = start_app(spec)
    spec.clear()  # its environment holds the app's token
    keeper.run(app.pid, app.output)
    status = keeper.status or 0
    write_atomically(
        directory,
        "exit.json",
        {
            "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "stopped": keeper.stopped,
            "error": app.error,
            "at": time.time(),
        },
    )
