"""Whole WebSocket messages, read and written without a parser: nearly every one is a short frame.

What is not (fragments, control frames, frames in pieces, mistakes) is left to the library's parser.
"""

from websockets.frames import Opcode
from websockets.protocol import OPEN, Protocol
from websockets.utils import apply_mask

_FIN = 0x80
_TEXT, _BINARY = _FIN | Opcode.TEXT, _FIN | Opcode.BINARY
_KINDS = (_TEXT, _BINARY)
_MASKED = 0x80
#: Close code "try again later": a person's messages under way hold too much together.
TOO_MUCH = 1013
#: By this key the consumer says with ``websocket.accept`` whose account the messages are on.
HELD = "aen.held"


def whole_message(protocol: Protocol, data: bytes, *, masked: bool) -> bytes | str | None:
    """Return the message that ``data`` is; ``None`` if ``protocol`` has to read it.

    It must not have begun to read one. ``masked``: whether it comes from a browser.
    """
    if protocol.state is not OPEN or protocol.current_size is not None or protocol.reader.buffer:
        return None
    if len(data) < 2 or data[0] not in _KINDS or bool(data[1] & _MASKED) is not masked:
        return None
    size, start = data[1] & ~_MASKED, 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    elif size == 127:
        return None
    payload = start + 4 if masked else start
    if len(data) != payload + size:
        return None
    message = data[payload:]
    if masked:
        message = apply_mask(message, data[start:payload])
    return _text(message) if data[0] == _TEXT else message


def _text(message: bytes) -> str | None:
    try:
        return message.decode()
    except UnicodeDecodeError:
        return None


def message_frame(message: bytes | str, mask: bytes = b"") -> bytes:
    """Return the one frame that a message is sent in; ``mask``: four bytes, to an app."""
    first, data = (_BINARY, message) if isinstance(message, bytes) else (_TEXT, message.encode())
    size, masked = len(data), _MASKED if mask else 0
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65_536:
        head = bytes((first, masked | 126)) + size.to_bytes(2)
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8)
    return head + mask + apply_mask(data, mask) if mask else head + data


def too_large(limit: int) -> str:
    """Return the reason of a close with code 1009."""
    return f"A message has more than {limit:,} bytes (limits: message_bytes)."
