"""Reading a request's head, if it is so plain that no two readers could differ on it."""

import re
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from ..forwarding import BadRequest, Header, Sent, header, plain_fields, read_fields

_FIRST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!\"$-~]*) HTTP/1\.1\r\n")
SWITCH: tuple[Header, ...] = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
#: As in ``forwarding.request``: the same few blocks come over and over; no large one is kept.
_KEPT, _KEPT_BYTES = 1024, 4096


class Fields(NamedTuple):
    """``block``: what was read, to the empty line at its end. ``length``: bytes of the body.

    ``websocket``: the key of a handshake, or ``b""``. ``own``: the connection's fields that the app
    is sent in place of the browser's.
    """

    block: bytes
    sent: Sent
    length: int
    websocket: bytes
    own: tuple[Header, ...]


class Head(Struct, frozen=True, gc=False):
    """``first``: the line it begins with. ``size``: bytes of the head as a whole."""

    first: bytes
    method: str
    path: bytes
    query: bytes
    fields: Fields
    size: int


def read_head(data: bytes, last: Fields | None = None) -> Head | None:
    """Return the head that ``data`` begins with; ``None`` if it is not whole, or not plain.

    ``last``: the fields of the connection's last request, which most often are the next one's.
    """
    first = _FIRST.match(data)
    if first is None:
        return None
    start, size = first.end(), len(data)
    if last is not None and data[start:] == last.block:
        fields: Fields | None = last
    else:
        size = data.find(b"\r\n\r\n", start - 2) + 4
        if size < 4:
            return None
        block = data[start:size]
        fields = _kept_block(block) if len(block) <= _KEPT_BYTES else _read_block(block)
    method, target = first.groups()
    if fields is None or (fields.websocket and method != b"GET"):
        return None
    path, _, query = target.partition(b"?")
    return Head(data[: start - 2], method.decode(), path, query, fields, size)


def _read_block(block: bytes) -> Fields | None:
    """Return what a block of header fields says; ``None`` if it is for uvicorn to judge."""
    headers = plain_fields(block[:-2])
    if headers is None:
        return None
    try:
        sent = read_fields(headers)
    except BadRequest:
        return None
    framing = sent.framing
    if not sent.host or framing.kind == "chunked" or header(headers, b"expect"):
        return None
    wanted = _upgrade(headers)
    if wanted is None or (wanted and framing.kind != "none"):
        return None
    own = SWITCH if wanted else framing.fields
    return Fields(block, sent, framing.length, wanted, own)


_kept_block = lru_cache(_KEPT)(_read_block)


def _upgrade(headers: list[Header]) -> bytes | None:
    """Return the key if a WebSocket is asked for, ``b""`` if nothing is, ``None`` if all else is."""
    connection = [value.lower() for name, value in headers if name == b"connection"]
    tokens = {token.strip() for token in b",".join(connection).split(b",")} - {b"", b"keep-alive"}
    upgrade = [value.lower() for name, value in headers if name == b"upgrade"]
    if not tokens and not upgrade:
        return b""
    if tokens != {b"upgrade"} or upgrade != [b"websocket"]:
        return None
    if header(headers, b"sec-websocket-version") != b"13":
        return None
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    return keys[0] if len(keys) == 1 and len(keys[0]) == 24 else None
