"""A request's header fields, and what the gateway reads from them, once for all who ask."""

from typing import NamedTuple

from .cookies import Cookies, cookies_of
from .fields import bearer_of, check_headers, header
from .types import Headers


class Sent(NamedTuple):
    """``size``: bytes of all names and values. ``bearer``: the API token, if there is one."""

    headers: Headers
    size: int
    cookies: Cookies
    bearer: str | None
    host: bytes
    origin: bytes


def read_fields(headers: Headers) -> Sent:
    """Return what the fields say; raises ``BadRequest`` without one ``Host`` field."""
    cookies = cookies_of(headers)
    return Sent(
        headers,
        check_headers(headers),
        cookies,
        bearer_of(headers, cookies.sessions),
        header(headers, b"host"),
        header(headers, b"origin"),
    )
