"""One timer for many that are nearly always done before it: to set one for each is dear."""

import asyncio
from collections.abc import Callable


class Lasting:
    """Calls those that are not done after ``seconds``, or twice as many."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._new: dict[object, Callable[[], None]] = {}
        self._old: dict[object, Callable[[], None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, one: object, go: Callable[[], None]) -> None:
        """Have ``go`` called unless ``one`` is done before."""
        self._new[one] = go
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def done(self, one: object) -> None:
        if self._new.pop(one, None) is None:
            self._old.pop(one, None)

    def _look(self) -> None:
        late, self._old, self._new = self._old, self._new, {}
        self._timer = None
        if self._old:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)
        for go in late.values():
            go()
