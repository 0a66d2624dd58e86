"""One line for each request: when, who asked from where, what, how it went. No query, no token.

Requests are gathered, and made into lines and written a few times a second: to do it for each would
cost more than the rest of a request's bookkeeping.
"""

import asyncio
import sys
import time
from typing import TextIO

_FLUSH_SECONDS = 0.25
_FLUSH_LINES = 200
#: How durations below a second are written: to the millisecond.
_SHORT = tuple(f"0.{milliseconds:03}" for milliseconds in range(1000))


# When it ended, in seconds of Unix time, client, user, method and path, status, and how long it took.
_Request = tuple[float, str, str, tuple[str, bytes], int, float]


class AccessLog:
    """Writes to ``out``, by default standard output."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._requests: list[_Request] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(
        self, client: str, user: str, what: tuple[str, bytes], status: int, seconds: float
    ) -> None:
        """Note one finished request; ``what`` is its method and its path without the query."""
        self._requests.append((time.time(), client, user, what, status, seconds))
        if len(self._requests) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is gathered; a closed or full output loses lines, never requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        requests, self._requests = self._requests, []
        try:
            self._out.write(_lines(requests))
            self._out.flush()
        except (OSError, ValueError):
            pass


def _lines(requests: list[_Request]) -> str:
    lines, second, stamp = [], 0, ""
    for ended, client, user, (method, raw_path), status, seconds in requests:
        if int(ended) != second:
            second = int(ended)
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
        path = raw_path.decode("ascii", "backslashreplace")
        if '"' in path:
            path = path.replace('"', "%22")
        took = _SHORT[int(seconds * 1000 + 0.5)] if seconds < 0.999 else f"{seconds:.3f}"
        lines.append(f'{stamp} {client} {user or "-"} "{method} {path}" {status} {took}\n')
    return "".join(lines)
