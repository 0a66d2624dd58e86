"""How messages are delimited and written: nothing that two readers could read differently."""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from .types import BadRequest, Header, Headers

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


class Framing(NamedTuple):
    """How a request's body is delimited; ``length`` counts for ``length`` only."""

    kind: Literal["none", "length", "chunked"]
    length: int = 0

    @property
    def fields(self) -> tuple[Header, ...]:
        """The fields that say so."""
        if self.kind == "length":
            return ((b"content-length", str(self.length).encode()),)
        return ((b"transfer-encoding", b"chunked"),) if self.kind == "chunked" else ()


def framing_of(headers: Iterable[Header]) -> Framing:
    """Return how the body is delimited; raises ``BadRequest`` where two readers might differ."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths or len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise BadRequest("The length of the request's body is ambiguous.")
        return Framing("chunked")
    if not lengths:
        return Framing("none")
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise BadRequest("The length of the request's body is ambiguous.")
    return Framing("length", int(lengths[0]))


def is_repeatable(method: str) -> bool:
    """Return whether a request may be sent again when its connection was lost (RFC 9110, 9.2.2)."""
    return method in _IDEMPOTENT


def serialize_head(first: bytes, headers: Headers) -> bytes:
    """Return the head of a message, whose first line is ``first``.

    Raises ``BadRequest`` if a name or value would end its line.
    """
    lines = [first]
    lines += [name + b": " + value for name, value in headers]
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        raise BadRequest("A header field holds a line break.")
    return head


def chunk(body: bytes, *, last: bool) -> bytes:
    """Return ``body`` in the chunked coding, with the end of the message if it is the last."""
    piece = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return piece + b"0\r\n\r\n" if last else piece
