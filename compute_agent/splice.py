"""Bytes passed both ways between two connections, with back-pressure and half-close.

While one side does not take what it is sent, nothing is read from the other, so what waits here
is bounded by the write limit of a transport. The gateway may use this module too.
"""

import asyncio
from typing import cast

#: Most bytes that wait for a slow reader, in each direction.
WRITE_LIMIT = 256 * 1024


class Traffic:
    """Whether bytes went by, on all connections that share it."""

    __slots__ = ("moved",)

    def __init__(self) -> None:
        self.moved = False

    def take(self) -> bool:
        """Say whether bytes went by since the last call."""
        moved, self.moved = self.moved, False
        return moved


class Side(asyncio.Protocol):
    """One of the two connections. ``link`` joins it with the other; until then it reads nothing."""

    # No dict: with many sides, what a byte on its way touches decides how fast it is.
    __slots__ = ("_ended", "_other", "_to", "early", "traffic", "transport")

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.transport: asyncio.Transport | None = None
        self._other: Side | None = None
        self._to: asyncio.Transport | None = None  # the other's transport
        self._ended = False
        #: What had arrived from here before the two were joined.
        self.early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast(asyncio.Transport, transport))

    def attach(self, transport: asyncio.Transport) -> None:
        """Take over a transport that another protocol opened."""
        self.transport = transport
        transport.set_write_buffer_limits(high=WRITE_LIMIT)
        transport.pause_reading()

    def close(self) -> None:
        """End it before it was joined with another."""
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.traffic.moved = True
        to = self._to
        if to is not None and not to.is_closing():
            to.write(data)

    def pause_writing(self) -> None:
        _pause(self._other)

    def resume_writing(self) -> None:
        _resume(self._other)

    def eof_received(self) -> bool:
        """Pass on that no more comes from here; the other direction goes on."""
        self._ended = True
        other = self._other
        if other is None or other.transport is None or other.transport.is_closing():
            return False
        if other._ended or not other.transport.can_write_eof():
            other.transport.close()
            return False
        other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        transport, self._to, self._other = self._to, None, None
        if transport and not transport.is_closing():
            # Closing sends what is still waiting; after an error there is nobody to wait for.
            if exc is None:
                transport.close()
            else:
                transport.abort()


def link(first: Side, second: Side) -> None:
    """Join two attached sides and let the bytes flow."""
    first._other, second._other = second, first
    first._to, second._to = second.transport, first.transport
    for side in (first, second):
        if side.early:
            side.data_received(side.early)
            side.early = b""
    _resume(first)
    _resume(second)


def _pause(side: Side | None) -> None:
    if side and side.transport and not side.transport.is_closing():
        side.transport.pause_reading()


def _resume(side: Side | None) -> None:
    if side and side.transport and not side.transport.is_closing():
        side.transport.resume_reading()
