"""The PROXY protocol, version 2: what HAProxy says before the first byte of a connection.

Read on Unix sockets whose peers are known by their account, and nowhere else: whoever may connect
is believed. Pure: bytes in, structures out.
"""

import socket
import struct
from typing import NamedTuple

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_HEAD = struct.Struct("!12sBBH")
_PROXY, _TCP4, _TCP6, _UNIQUE_ID = 0x21, 0x11, 0x21, 0x05
#: A header longer than this is nobody's who is known here.
MAX_SIZE = 1024


class ProxyHeader(NamedTuple):
    """``size``: its bytes. ``client``: address and port. ``unique_id``: what it was called."""

    size: int
    client: tuple[str, int] | None
    unique_id: str


def begins(data: bytes) -> bool:
    """Return whether ``data`` may be the beginning of such a header."""
    return SIGNATURE.startswith(data[:12])


def read(data: bytes) -> ProxyHeader | None:
    """Return the header that ``data`` begins with, ``None`` while it is not whole.

    Raises ``ValueError`` for what is none.
    """
    if not begins(data):
        raise ValueError("no PROXY header")
    if len(data) < _HEAD.size:
        return None
    _, command, family, length = _HEAD.unpack_from(data)
    size = _HEAD.size + length
    if command >> 4 != 2 or size > MAX_SIZE:
        raise ValueError("no PROXY header of version 2")
    if len(data) < size:
        return None
    body = data[_HEAD.size : size]
    client, rest = _client(body, family if command == _PROXY else 0)
    return ProxyHeader(size, client, _unique_id(rest))


def _client(body: bytes, family: int) -> tuple[tuple[str, int] | None, bytes]:
    """Return the client's address, if there is one, and what follows the addresses."""
    width = {_TCP4: 4, _TCP6: 16}.get(family)
    if width is None:
        return None, body if family >> 4 == 0 else body[216:]
    ends = 2 * width + 4
    if len(body) < ends:
        raise ValueError("a PROXY header without its addresses")
    kind = socket.AF_INET if width == 4 else socket.AF_INET6
    port = int.from_bytes(body[2 * width : 2 * width + 2])
    return (socket.inet_ntop(kind, body[:width]), port), body[ends:]


def _unique_id(fields: bytes) -> str:
    while len(fields) >= 3:
        kind, length = fields[0], int.from_bytes(fields[1:3])
        value, fields = fields[3 : 3 + length], fields[3 + length :]
        if kind == _UNIQUE_ID:
            return value.decode("ascii", "replace")
    return ""
