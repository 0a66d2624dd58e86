"""Cookies: ours, which no app sees or sets, and the apps' own, each bound to its path."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from .types import Header

SESSION_COOKIE = "aen_gateway"
#: Browsers take such a cookie by https alone, from the very host that it goes back to.
HOST_PREFIX = "__Host-"
#: More session cookies than this are no accident.
MAX_SESSIONS = 8
_OUR_COOKIES = (b"aen_", b"__host-", b"__secure-aen")
_KEPT_BYTES = 512
_OUR_REQUEST_COOKIES = (b"aen_", b"__host-aen", b"__secure-aen")


class Cookies(NamedTuple):
    """``sessions``: the values of our session cookie, as sent. ``rest``: what the app may see.

    ``host_sessions``: those under the name that it has by https.
    """

    sessions: tuple[str, ...]
    host_sessions: tuple[str, ...]
    rest: bytes

    @property
    def any(self) -> tuple[str, ...]:
        return self.sessions + self.host_sessions


def cookies_of(headers: Iterable[Header]) -> Cookies:
    """Return our session cookies and the app's, from all ``Cookie`` fields of a request."""
    values = [value for name, value in headers if name == b"cookie"]
    if not values:
        return Cookies((), (), b"")
    return _split_cookies(values[0] if len(values) == 1 else b"; ".join(values))


@lru_cache(maxsize=256)
def _split_cookies(line: bytes) -> Cookies:
    plain: list[str] = []
    by_host: list[str] = []
    sessions = {SESSION_COOKIE: plain, HOST_PREFIX + SESSION_COOKIE: by_host}
    rest: list[bytes] = []
    for part in line.split(b";"):
        pair = part.strip()
        name, _, value = pair.partition(b"=")
        name = name.strip()
        if (ours := sessions.get(name.decode("latin-1"))) is not None:
            ours.append(value.strip().decode("latin-1"))
        elif pair and not name.lower().startswith(_OUR_REQUEST_COOKIES):
            rest.append(pair)
    return Cookies(tuple(plain), tuple(by_host), b"; ".join(rest))


def app_cookie(value: bytes, prefix: bytes) -> bytes | None:
    """Return an app's ``Set-Cookie`` bound to its own path, or ``None`` if it may not be set.

    A cookie without a name is refused: browsers send ``=aen_x=1`` back as ``aen_x=1``.
    """
    # Many apps set the same one with every answer; long ones are not kept.
    return (_kept_app_cookie if len(value) <= _KEPT_BYTES else _app_cookie)(value, prefix)


def _app_cookie(value: bytes, prefix: bytes) -> bytes | None:
    pair, *attributes = value.split(b";")
    name, equals, _ = pair.partition(b"=")
    name = name.strip().lower()
    if not equals or not name or name.startswith(_OUR_COOKIES):
        return None
    path = prefix
    kept = [pair.strip()]
    for attribute in attributes:
        key, _, given = attribute.strip().partition(b"=")
        if key.strip().lower() == b"path":
            path = given.strip() if given.strip().startswith(prefix) else prefix
        elif key.strip().lower() != b"domain":
            kept.append(attribute.strip())
    return b"; ".join([*kept, b"Path=" + path])


_kept_app_cookie = lru_cache(1024)(_app_cookie)
