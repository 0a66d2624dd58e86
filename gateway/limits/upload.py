"""Uploads that stand still: a body must make progress while it is we who wait for it."""

import asyncio
from collections.abc import Callable

from .limits import Settings


class Upload:
    """Watches one request's body, from its head to its last byte.

    ``reading``: whether bytes of the browser are read now; while the app does not take them, they
    are not, and that is no fault of the browser's. ``ended`` is called when it stood still.
    """

    def __init__(
        self, settings: Settings, reading: Callable[[], bool], ended: Callable[[], None]
    ) -> None:
        self.came = 0
        self._settings = settings
        self._reading = reading
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(settings.upload_seconds, self._look)

    def _look(self) -> None:
        if self._reading() and self.came < self._settings.upload_bytes:
            self._ended()
            return
        self.came = 0
        self._timer = self._loop.call_later(self._settings.upload_seconds, self._look)

    def stop(self) -> None:
        self._timer.cancel()
