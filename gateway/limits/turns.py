"""The event loop shared between people.

One request costs the gateway a few dozen microseconds, and whoever sends hundreds at once has them
all read in one turn of the loop, in which everybody else waits. So in one turn nobody has more than
a share of pieces begun; the rest wait for the next, which comes at once if nobody else has anything
to do. A person alone loses nothing by it.
"""

import asyncio
from collections import deque
from collections.abc import Callable

#: Requests begun, or pieces of streams passed on, for one person in one turn.
SHARE = 16
#: Bytes of a head from which on it waits for its address's turn, before it is read.
LARGE_HEAD = 2048


class Turns:
    """Who had how much of this turn, and what waits for the next."""

    def __init__(self, share: int = SHARE, clock: Callable[[], float] | None = None) -> None:
        self._share = share
        self._clock = clock
        self._turn = 0.0
        self._used: dict[str, int] = {}
        self._waiting: dict[str, deque[Callable[[], None]]] = {}
        self.delayed = 0

    def take(self, who: str) -> bool:
        """Return whether ``who`` may go on in this turn; if not, ``wait``."""
        if self._clock is None:
            # Uvloop's is the time at which the turn began, to the millisecond. That two short turns
            # may count as one does no harm: what waits does so until the next, not for the clock.
            self._clock = asyncio.get_running_loop().time
        now = self._clock()
        if now != self._turn:
            self._turn = now
            self._used.clear()
        used = self._used.get(who, 0)
        if used >= self._share or who in self._waiting:
            return False
        self._used[who] = used + 1
        return True

    def wait(self, who: str, go: Callable[[], None]) -> None:
        """Have ``go`` called in a later turn, in the order of asking."""
        self.delayed += 1
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        self._waiting.setdefault(who, deque()).append(go)

    async def mine(self, who: str) -> None:
        """Return when it is the turn of ``who``."""
        if not self.take(who):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.wait(who, lambda: _done(turn))
            await turn

    def _next(self) -> None:
        assert self._clock is not None  # nothing waits that was not told to
        self._turn = self._clock()
        self._used.clear()
        ready = []
        for who, waiting in list(self._waiting.items()):
            count = min(self._share, len(waiting))
            self._used[who] = count
            ready += [waiting.popleft() for _ in range(count)]
            if not waiting:
                del self._waiting[who]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        for go in ready:
            go()

    @property
    def waiting(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())


def _done(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_result(None)
