"""Waking what waits in this process, so that a change is on its way in milliseconds.

Other processes' changes are found by a regular look at the database; this only spares the
wait for it.
"""

import asyncio
import contextlib
import threading

from accounts.transactions import after_commit

_lock = threading.Lock()
_sleepers: set["Sleeper | ThreadSleeper"] = set()


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


class ThreadSleeper:
    """The same for a thread: ``with ThreadSleeper() as sleeper``."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __enter__(self) -> "ThreadSleeper":
        with _lock:
            _sleepers.add(self)
        return self

    def __exit__(self, *error: object) -> None:
        with _lock:
            _sleepers.discard(self)

    def wait(self, seconds: float) -> None:
        """Return after ``seconds``, or as soon as there was a ``wake`` since the last call."""
        self._event.wait(seconds)
        self._event.clear()

    def wake(self) -> None:
        self._event.set()


def wake() -> None:
    """Wake all that waits in this process once the current transaction is committed."""
    after_commit(_wake_all)


def _wake_all() -> None:
    with _lock:
        sleepers = list(_sleepers)
    for sleeper in sleepers:
        sleeper.wake()
