"""A rate with room for bursts, for many keys at once: one number is kept for each."""

import time
from collections.abc import Callable

#: Keys remembered at most. Who could make more of them than that is forgotten, not refused.
KEPT = 20_000
#: What sums of many fractions may be wrong by, in seconds.
_NOTHING = 1e-6


class Rate:
    """``rate``: how many a second in the long run, 0 for any number; ``burst``: how many at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._each = 1.0 / rate if rate else 0.0
        self._room = self._each * max(burst - 1.0, 0.0)
        self._clock = clock
        self._until: dict[str, float] = {}  # when the key has caught up with what it spent

    def wait(self, key: str) -> float:
        """Return after how many seconds ``key`` may go on; 0.0 if now."""
        until = self._until.get(key)
        if until is None:
            return 0.0
        wait = until - self._room - self._clock()
        return wait if wait > _NOTHING else 0.0

    def spend(self, key: str) -> None:
        """Count one for ``key``, whether it might or not."""
        if not self._each:
            return
        now = self._clock()
        if len(self._until) >= KEPT and key not in self._until:
            self._make_room(now)
        self._until[key] = max(self._until.get(key, now), now) + self._each

    def take(self, key: str) -> float:
        """Count one for ``key`` if it may; return how long it has to wait if not."""
        if not self._each:
            return 0.0
        now = self._clock()
        until = self._until.get(key)
        if until is None:
            self.spend(key)
            return 0.0
        wait = until - self._room - now
        if wait > _NOTHING:
            return wait
        self._until[key] = max(until, now) + self._each
        return 0.0

    def _make_room(self, now: float) -> None:
        self._until = {key: until for key, until in self._until.items() if until > now}
        while len(self._until) >= KEPT:
            del self._until[next(iter(self._until))]
