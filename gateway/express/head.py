"""Reading a request's head, if it is so plain that no two readers could differ on it."""

import re
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from ..forwarding import BadRequest, Header, Sent, framing_of, header, plain_fields, read_fields

_FIRST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[!\"$-~]*) HTTP/1\.1\r\n")
SWITCH: tuple[Header, ...] = ((b"connection", b"Upgrade"), (b"upgrade", b"websocket"))
#: As in ``forwarding.request``: the same few blocks come over and over; no large one is kept.
_KEPT, _KEPT_BYTES = 1024, 4096


class Fields(NamedTuple):
    """``length``: bytes of the body. ``websocket``: the key of a handshake, or ``b""``.

    ``own``: the connection's fields that the app is sent in place of the browser's.
    """

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


def read_head(data: bytes) -> Head | None:
    """Return the head that ``data`` begins with; ``None`` if it is not whole, or not plain."""
    end = data.find(b"\r\n\r\n")
    first = _FIRST.match(data)
    if first is None or end < first.end():
        return None
    block = data[first.end() : end + 2]
    fields = _kept_block(block) if len(block) <= _KEPT_BYTES else _read_block(block)
    if fields is None or (fields.websocket and first[1] != b"GET"):
        return None
    path, _, query = first[2].partition(b"?")
    return Head(first[0][:-2], first[1].decode(), path, query, fields, end + 4)


def _read_block(block: bytes) -> Fields | None:
    """Return what a block of header fields says; ``None`` if it is for uvicorn to judge."""
    headers = plain_fields(block)
    if headers is None:
        return None
    try:
        sent, framing = read_fields(headers), framing_of(headers)
    except BadRequest:
        return None
    if not sent.host or framing.kind == "chunked" or header(headers, b"expect"):
        return None
    wanted = _upgrade(headers)
    if wanted is None or (wanted and framing.kind != "none"):
        return None
    own = SWITCH if wanted else framing.fields
    return Fields(sent, framing.length, wanted, own)


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
