"""Requests by HTTP/2, frame by frame, as no client of good manners sends them."""

import socket
from collections.abc import Iterator
from typing import BinaryIO

_DATA, _HEADERS, _RESET, _SETTINGS = 0, 1, 3, 4
_END_STREAM, _END_HEADERS = 1, 4
_STATUS_200 = b"\x88"  # as one byte of HPACK's table
_BEGIN = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Fields = list[tuple[str, str]]


def ask(port: int, fields: Fields, body: bytes | None = None, trailers: Fields = ()) -> bytes:
    """Send a request to this host; return the answer's body, ``b""`` if there is none.

    ``fields``: with those of HTTP/2, ``:method`` and so on. ``trailers`` come behind ``body``.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        message = _frame(_HEADERS, _END_HEADERS | _end(body is None), _block(fields))
        if body is not None:
            message += _frame(_DATA, _end(not trailers), body)
        if trailers:
            message += _frame(_HEADERS, _END_HEADERS | _END_STREAM, _block(trailers))
        sock.sendall(_BEGIN + _frame(_SETTINGS, 0, b"", stream=0) + message)
        return _answer(sock)


def opens(port: int, fields: Fields) -> bool:
    """Return whether a request whose end does not come is answered with 200."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        head = _frame(_HEADERS, _END_HEADERS, _block(fields))
        sock.sendall(_BEGIN + _frame(_SETTINGS, 0, b"", stream=0) + head)
        with sock.makefile("rb") as stream:
            for kind, _, payload in _frames(stream):
                if kind in (_RESET, _HEADERS):
                    return kind == _HEADERS and payload.startswith(_STATUS_200)
    return False


def _frames(stream: BinaryIO) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, flags and payload of each frame that comes."""
    while len(head := stream.read(9)) == 9:
        yield head[3], head[4], stream.read(int.from_bytes(head[:3], "big"))


def _answer(sock: socket.socket) -> bytes:
    answer = b""
    with sock.makefile("rb") as stream:
        for kind, flags, payload in _frames(stream):
            answer += payload if kind == _DATA else b""
            if kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
                break
    return answer


def _end(here: bool) -> int:
    return _END_STREAM if here else 0


def _frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + stream.to_bytes(4, "big") + payload


def _block(fields: Fields) -> bytes:
    """Return the fields as literals that are never kept (RFC 7541, 6.2.3)."""
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    assert len(text) < 127  # the length of a longer one takes more bytes
    return bytes((len(text),)) + text.encode("latin-1")
