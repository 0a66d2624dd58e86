"""Waking the wires of this process, so that a change is on its way in milliseconds.

Other processes' changes are found by the wire's regular look at the database; this only spares the
wait for it.
"""

import asyncio
import contextlib
import threading

from accounts.transactions import after_commit

_lock = threading.Lock()
_sleepers: set["Sleeper"] = set()


class Sleeper:
    """Something in an event loop that waits for ``wake`` or for a time to pass."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        with _lock:
            _sleepers.add(self)

    async def wait(self, seconds: float) -> None:
        """Return after ``seconds``, or as soon as there was a ``wake`` since the last call."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    def close(self) -> None:
        with _lock:
            _sleepers.discard(self)


def wake() -> None:
    """Wake every wire of this process once the current transaction is committed."""
    after_commit(_wake_all)


def _wake_all() -> None:
    with _lock:
        sleepers = list(_sleepers)
    for sleeper in sleepers:
        sleeper.wake()
