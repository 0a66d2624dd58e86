"""Reading an answer's head without a parser, if it came whole and plain: nearly every one.

Apps send the same heads over and over, so what was read is kept, under the whole of the head.
"""

import re
from functools import lru_cache

from ..forwarding import Headers, header, plain_fields, serialize_head, to_client

_FIRST = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_KEPT, _KEPT_BYTES = 1024, 2048
_NO_BODY = (204, 304)


class PlainHead:
    """A final answer's head whose body has ``length`` bytes, unless the request was ``HEAD``."""

    __slots__ = ("headers", "keep_alive", "length", "size", "status")

    def __init__(self, size: int, status: int, headers: Headers, length: int) -> None:
        self.size = size
        self.status = status
        self.headers = headers
        self.length = length
        self.keep_alive = header(headers, b"connection").lower() != b"close"

    def to_client(self, prefix: bytes, strip: bytes) -> Headers:
        """Return the fields as ``forwarding.to_client`` makes them; not to be changed."""
        return (_kept_fields if self.size <= _KEPT_BYTES else _fields)(self, prefix, strip)

    def as_sent(self, first: bytes, prefix: bytes, strip: bytes) -> bytes:
        """Return the head with these fields, whose first line is ``first``."""
        make = _kept_as_sent if self.size <= _KEPT_BYTES else _as_sent
        return make(self, first, prefix, strip)


def plain_head(data: bytes) -> PlainHead | None:
    """Return the head that ``data`` begins with; ``None`` if it is for a parser to judge."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    return (_kept if end <= _KEPT_BYTES else _read)(data[:end])


def _read(head: bytes) -> PlainHead | None:
    first = _FIRST.match(head)
    fields = plain_fields(head[first.end() : -2]) if first else None
    if first is None or fields is None:
        return None
    named = [name for name, _ in fields]
    if b"transfer-encoding" in named or b"upgrade" in named or named.count(b"connection") > 1:
        return None
    if header(fields, b"connection").lower() not in (b"", b"keep-alive", b"close"):
        return None
    status = int(first[1])
    lengths = [value for name, value in fields if name == b"content-length"]
    if status in _NO_BODY and not lengths:
        return PlainHead(len(head), status, fields, 0)
    if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
        return None
    return PlainHead(len(head), status, fields, 0 if status in _NO_BODY else int(lengths[0]))


def _fields(plain: PlainHead, prefix: bytes, strip: bytes) -> Headers:
    return to_client(plain.headers, prefix, plain.status, strip)


def _as_sent(plain: PlainHead, first: bytes, prefix: bytes, strip: bytes) -> bytes:
    return serialize_head(first, plain.to_client(prefix, strip))


# Apps of many people send the same heads, of which each becomes another below its own address.
_kept = lru_cache(_KEPT)(_read)
_kept_fields = lru_cache(_KEPT)(_fields)
_kept_as_sent = lru_cache(_KEPT)(_as_sent)
