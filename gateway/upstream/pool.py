"""The connections to each app: idle ones to use again, open ones counted."""

import time
from collections import deque
from collections.abc import Awaitable, Callable

from ..metrics import Traffic
from .connect import splice
from .errors import AppUnreachable
from .splice import Splice

#: Idle connections kept for an app, and for how many seconds.
MAX_IDLE = 128
IDLE_SECONDS = 30.0
#: Connections open to one app at a time, streams and WebSockets included.
MAX_OPEN = 1024
# An app may close an idle connection at any moment; what can't be repeated takes a fresh one.
FRESH_SECONDS = 0.5


class Pool:
    """Connections to apps by ``(node, app_id)``: idle ones to use again, open ones counted."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._idle: dict[tuple[str, str], deque[Splice]] = {}
        self._open: dict[tuple[str, str], int] = {}

    def take(self, key: tuple[str, str], fresh: bool = False) -> Splice | None:
        """Return the idle connection that was used last, if there is one that still stands.

        ``fresh``: only one that was used a moment ago.
        """
        idle = self._idle.get(key)
        oldest = time.monotonic() - (FRESH_SECONDS if fresh else IDLE_SECONDS)
        while idle:
            stream = idle.pop()
            if stream.reusable and stream.idle_since >= oldest:
                return stream
            self.discard(key, stream)
        return None

    async def open(self, key: tuple[str, str], connect: Callable[[], Awaitable[Splice]]) -> Splice:
        """Return a new connection; see ``splice`` for what it raises."""
        if self._open.get(key, 0) >= MAX_OPEN:
            raise AppUnreachable("Too many connections to this app are open; close some tabs.")
        self._open[key] = self._open.get(key, 0) + 1
        try:
            stream = await splice(connect, key[1])
        except BaseException:
            self._forget(key)
            raise
        stream.traffic = self._traffic
        return stream

    def give_back(self, key: tuple[str, str], stream: Splice) -> None:
        """Keep a connection whose last response was read to its end."""
        idle = self._idle.setdefault(key, deque())
        if not stream.reusable or len(idle) >= MAX_IDLE:
            self.discard(key, stream)
            return
        stream.uses += 1
        stream.idle_since = time.monotonic()
        idle.append(stream)

    def discard(self, key: tuple[str, str], stream: Splice, *, gently: bool = False) -> None:
        """End a connection that ``open`` or ``take`` returned."""
        if gently:
            stream.close()
        else:
            stream.abort()
        self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    def sweep(self, max_idle: float = IDLE_SECONDS) -> None:
        """End what has been idle for longer than ``max_idle`` seconds."""
        oldest = time.monotonic() - max_idle
        for key, idle in list(self._idle.items()):
            for stream in [one for one in idle if one.ended or one.idle_since < oldest]:
                idle.remove(stream)
                self.discard(key, stream)
            if not idle:
                del self._idle[key]

    def end(self) -> None:
        """End all idle connections."""
        self.sweep(max_idle=-1.0)
