"""One line for each request, in the combined log format that programs know, with milliseconds behind.

Who asked from where, when, what, and how it went. No query, no token; what is not noted is a dash: how
many bytes, from which page, with which browser.

Requests are gathered, and made into lines and written a few times a second: to do it for each would
cost more than the rest of a request's bookkeeping.
"""

import asyncio
import sys
import time
from typing import TextIO

_FLUSH_SECONDS = 0.25
_FLUSH_LINES = 200


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
            stamp = _stamp(second)
        path = raw_path.decode("ascii", "backslashreplace")
        if '"' in path:
            path = path.replace('"', "%22")
        lines.append(
            f'{client} - {user or "-"} [{stamp}] "{method} {path} HTTP/1.1" {status} - "-" "-"'
            f" {int(seconds * 1000 + 0.5)}\n"
        )
    return "".join(lines)


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _stamp(second: int) -> str:
    at = time.gmtime(second)
    return time.strftime(f"%d/{_MONTHS[at.tm_mon - 1]}/%Y:%H:%M:%S +0000", at)  # in no language
