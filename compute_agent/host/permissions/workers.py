"""The processes that share a large tree, seen from the one that deals out its parts."""

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from compute_agent.host import ours, privileges
from compute_agent.host.permissions.policy import Policy
from compute_agent.host.permissions.records import Records, pack
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.permissions.walk import Place
from compute_agent.host.permissions.worker import receive, send

_PROGRAM = Path(__file__).with_name("worker.py")
_MOST = 4
_MOST_PLACES = 64


class _Worker:
    """One process. ``places`` are what it was given; ``None`` while it is not ready."""

    def __init__(self, root: int, setup: Any) -> None:
        self.places: list[Place] | None = None
        with privileges.handed_down(privileges.OF_PASSES):
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-S", str(_PROGRAM), str(root)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[root],
                cwd="/",
                env={"LANG": "C.UTF-8"},
            )
        ours.began(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self.output = self._process.stdin, self._process.stdout
        self.send(setup)

    def send(self, message: Any) -> None:
        try:
            send(self._input, message)
        except BrokenPipeError:  # ended: that shows when its answer is read
            return

    def receive(self) -> Any:
        return receive(self.output)

    def close(self) -> None:
        """End it, at once: whatever it does can be done again."""
        self._process.kill()
        self._process.wait()
        ours.ended(self._process.pid)
        self.output.close()
        try:
            self._input.close()
        except BrokenPipeError:
            return


class Workers:
    """As many processes as there are processors, four at most."""

    def __init__(self, root: int, policy: Policy, records: Records, marked: bool) -> None:
        rules = policy.rules
        fields = (*map(_plain, rules[:-1]),)
        overrides = [tuple(override) for override in rules.overrides]
        setup = (fields, overrides, pack(records), marked)
        count = min(_MOST, len(os.sched_getaffinity(0)))
        self._all = [_Worker(root, setup) for _ in range(count)]
        self._poll = select.poll()
        self._by_fd = {worker.output.fileno(): worker for worker in self._all}
        for fd in self._by_fd:
            self._poll.register(fd, select.POLLIN)
        self._idle: list[_Worker] = []

    @property
    def are_ready(self) -> bool:
        """Whether one has begun, or will never."""
        return bool(self._idle) or self.are_busy or not self._by_fd

    @property
    def are_busy(self) -> bool:
        return any(worker.places for worker in self._by_fd.values())

    @property
    def are_gone(self) -> bool:
        """Whether all have ended by themselves, which they should not."""
        return not self._by_fd

    def deal(self, places: list[Place]) -> None:
        """Take some of ``places`` for each that has nothing to do."""
        while self._idle and places:
            share = len(places) // (2 * len(self._by_fd))
            share = max(1, min(share, _MOST_PLACES))
            worker = self._idle.pop()
            worker.places = places[:share]
            del places[:share]
            worker.send(worker.places)

    def collect(self, places: list[Place], tally: Tally, seconds: float) -> None:
        """Wait for answers for so long; add what came to ``tally``, and what is left to ``places``.

        Raises ``OSError`` that ended one's work.
        """
        for fd, _ in self._poll.poll(seconds * 1000):
            worker = self._by_fd[fd]
            try:
                message = worker.receive()
            except EOFError:
                self._lost(fd, places)
                continue
            if message is not None:
                number, filename, found, left = message
                if number:
                    raise OSError(number, os.strerror(number), filename)
                tally.add(found)
                places += left
            worker.places = []
            self._idle.append(worker)

    def close(self) -> None:
        for worker in self._all:
            worker.close()

    def _lost(self, fd: int, places: list[Place]) -> None:
        """Give what it had to the others: visiting a place twice does no harm."""
        self._poll.unregister(fd)
        places += self._by_fd.pop(fd).places or []


def _plain(value: Any) -> Any:
    return frozenset(value) if isinstance(value, frozenset) else value
