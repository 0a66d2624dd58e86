"""A request's header fields: what the gateway reads from them, and what of them an app is sent.

A browser sends the same few sets of fields over and over, so what was read is kept. Kept are
results of pure functions under their whole input; who may pass is decided anew each time.
"""

from functools import lru_cache
from itertools import chain

from msgspec import Struct

from .cookies import Cookies, cookies_of
from .fields import bearer_of, check_headers, forwarded_fields, header, is_foreign, to_app
from .framing import Framing, framing_of, serialize_head
from .sender import Said, Sender, said_of
from .types import Header, Headers

KEPT = 1024
#: Fields of more bytes than this are read anew each time, so that what is kept stays small.
KEPT_BYTES = 4096


class Sent(Struct, frozen=True, eq=False):
    """``size``: bytes of all names and values. ``bearer``: the API token, if there is one.

    ``foreign``: the browser says that another site's page wants this. ``said``: what proxies, or
    who would be one, say of the client.
    """

    headers: Headers
    size: int
    cookies: Cookies
    bearer: str | None
    host: bytes
    origin: bytes
    foreign: bool
    said: Said
    framing: Framing


def read_fields(headers: Headers) -> Sent:
    """Return what the fields say; raises ``BadRequest`` if they are not clear."""
    size = sum(map(len, chain.from_iterable(headers)))
    return (_kept_fields if size <= KEPT_BYTES else _read_fields)(tuple(headers))


def _read_fields(fields: tuple[Header, ...]) -> Sent:
    headers = list(fields)
    cookies = cookies_of(headers)
    return Sent(
        headers,
        check_headers(headers),
        cookies,
        bearer_of(headers, cookies.any),
        header(headers, b"host"),
        header(headers, b"origin"),
        is_foreign(headers),
        said_of(headers),
        framing_of(headers),
    )


_kept_fields = lru_cache(KEPT)(_read_fields)


def head_to_app(
    first: bytes,
    sent: Sent,
    *,
    sender: Sender,
    inject: tuple[Header, ...],
    own: tuple[Header, ...],
) -> bytes:
    """Return the head of the request to the app: ``METHOD target HTTP/1.1``, then the fields.

    ``own`` are the fields that frame this request, or make it a handshake. Raises ``BadRequest``
    if a value would end its line.
    """
    return first + fields_to_app(sent, sender, inject, own)


def fields_to_app(
    sent: Sent, sender: Sender, inject: tuple[Header, ...], own: tuple[Header, ...]
) -> bytes:
    """Return all of the head that follows its first line; see ``head_to_app``."""
    return (_kept_head if sent.size <= KEPT_BYTES else _head)(sent, sender, inject, own)


def _head(sent: Sent, sender: Sender, inject: tuple[Header, ...], own: tuple[Header, ...]) -> bytes:
    fields = to_app(sent.headers, sent.cookies.rest, forwarded_fields(sender), dict(inject))
    return serialize_head(b"", [*fields, *own])


_kept_head = lru_cache(KEPT)(_head)
