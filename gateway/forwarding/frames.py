"""Where the frames of a WebSocket begin and end (RFC 6455, 5.2), for bytes that only pass by."""

_CLOSE = 0x8
_LONGEST_REASON = 123  # a control frame holds 125 bytes, two of them the code


class Frames:
    """Follows one direction of a WebSocket; what is in the frames is not looked at."""

    __slots__ = ("_left", "_start", "closed")

    def __init__(self) -> None:
        self._left = 0  # bytes of the frame that are still to come
        self._start = b""  # of a frame whose header is not whole
        self.closed = False  # a close frame has passed

    @property
    def between(self) -> bool:
        """Whether a frame may be put in here."""
        return not (self._left or self._start)

    def feed(self, data: bytes) -> None:
        """Take note of bytes that pass."""
        if self._left >= len(data):
            self._left -= len(data)
            return
        if not (self._left or self._start) and _is_one(data):
            return
        if self._start:
            data, self._start = self._start + data, b""
        position, self._left = self._left, 0
        while position < len(data):
            size = _frame_size(data, position)
            if not size:
                self._start = data[position:]
                return
            if data[position] & 0x0F == _CLOSE:
                self.closed = True
            position += size
        self._left = position - len(data)


def _is_one(data: bytes) -> bool:
    """Return whether ``data`` is a single short frame, as most pieces are, and no close."""
    return len(data) > 1 and len(data) == data[1] + 2 < 128 and data[0] & 0x0F != _CLOSE


def _frame_size(data: bytes, at: int) -> int:
    """Return the bytes of the frame that begins at ``at``; 0 if its header is not whole."""
    there = len(data) - at
    if there < 2:
        return 0
    mask = 4 if data[at + 1] & 0x80 else 0
    short = data[at + 1] & 0x7F
    if short < 126:
        return 2 + mask + short
    wide = 2 if short == 126 else 8
    if there < 2 + wide:
        return 0
    return 2 + wide + mask + int.from_bytes(data[at + 2 : at + 2 + wide])


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame as a server sends it."""
    payload = code.to_bytes(2) + reason.encode()[:_LONGEST_REASON]
    return bytes((0x80 | _CLOSE, len(payload))) + payload
