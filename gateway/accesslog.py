"""One line for each request: when, who asked from where, what, how it went. No query, no token.

Lines are gathered and written a few times a second: a write for each would cost more than the
rest of a request's bookkeeping.
"""

import asyncio
import sys
import time
from typing import TextIO

_FLUSH_SECONDS = 0.25
_FLUSH_LINES = 200


class AccessLog:
    """Writes to ``out``, by default standard output."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._stamp = ""

    def add(
        self, client: str, user: str, what: tuple[str, bytes], status: int, seconds: float
    ) -> None:
        """Note one finished request; ``what`` is its method and its path without the query."""
        method, raw_path = what
        path = raw_path.decode("ascii", "backslashreplace")
        if '"' in path:
            path = path.replace('"', "%22")
        self._lines.append(
            f'{self._now()} {client} {user or "-"} "{method} {path}" {status} {seconds:.3f}\n'
        )
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_FLUSH_SECONDS, self.flush)

    def _now(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        return self._stamp

    def flush(self) -> None:
        """Write what is gathered; a closed or full output loses lines, never requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text = "".join(self._lines)
        self._lines.clear()
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            pass
