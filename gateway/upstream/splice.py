"""One connection to an app, through the node's agent: bytes in and out, back-pressure both ways."""

import asyncio
from typing import Protocol, cast

from ..forwarding import Header
from ..metrics import Traffic

#: Bytes that wait in memory for a slow browser, or for a slow app, before the other waits, too.
HIGH_WATER = 256 * 1024


class Receiver(Protocol):
    """Takes what a connection brings, as it comes, instead of reading."""

    def from_app(self, data: bytes) -> None: ...

    def app_ended(self) -> None:
        """No more comes."""

    def app_full(self) -> None:
        """The app does not take what it is sent: write no more."""

    def app_ready(self) -> None:
        """The app has taken most of it."""


class Splice(asyncio.Protocol):
    """One connection through the agent to an app."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._read_paused = False
        self._write_paused = False
        self._held_back = False  # by its receiver
        self.ended = False
        self.receiver: Receiver | None = None
        self.inject: tuple[Header, ...] = ()
        #: Whether the app is asked for what follows its address's prefix.
        self.strip = False
        #: Whether it is the app's own socket, of which the node's agent sees nothing.
        self.passed = False
        self.uses = 0
        self.traffic = Traffic()
        self.idle_since = 0.0

    def stripped(self, prefix: bytes) -> bytes:
        """Return what paths lose on the way to the app: its ``prefix``, or nothing."""
        return prefix if self.strip else b""

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        self.traffic.received += len(data)
        if self.receiver is not None:
            self.receiver.from_app(data)
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()  # type: ignore[union-attr]
        self._wake()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self.resume_writing()

    def _end(self) -> None:
        ended, self.ended = self.ended, True
        if self.receiver is not None and not ended:
            self.receiver.app_ended()
        self._wake()

    def pause_writing(self) -> None:
        self._write_paused = True
        if self.receiver is not None:
            self.receiver.app_full()

    def resume_writing(self) -> None:
        self._write_paused = False
        writers, self._writers = self._writers, []
        for waiter in writers:
            if not waiter.done():
                waiter.set_result(None)
        if self.receiver is not None:
            self.receiver.app_ready()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # --- for its user ----------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Return what has arrived, waiting for the first byte; ``b""`` at the end."""
        if not self._chunks:
            if self.ended:
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._read_paused and not self.ended:
            self._read_paused = False
            self._transport.resume_reading()  # type: ignore[union-attr]
        return data

    def unread(self, data: bytes) -> None:
        """Put bytes back in front."""
        if data:
            self._chunks.insert(0, data)
            self._size += len(data)

    def write(self, data: bytes) -> None:
        if not self.ended:
            self.traffic.sent += len(data)
            self._transport.write(data)  # type: ignore[union-attr]

    @property
    def full(self) -> bool:
        """Whether the app has not taken most of what was written."""
        return self._write_paused and not self.ended

    async def drain(self) -> None:
        """Wait until the app has taken most of what was written."""
        if self.full:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            await waiter

    def close(self) -> None:
        """End the connection after what was written has gone out."""
        self.ended = True
        if self._transport is not None:
            self._transport.close()
        self._wake()

    def abort(self) -> None:
        """End the connection now; a waiting ``read`` returns."""
        self.ended = True
        self._chunks.clear()
        if self._transport is not None:
            self._transport.abort()
        self._wake()
        self.resume_writing()

    def pause_reading(self) -> None:
        if not self.ended:
            self._held_back = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._held_back and not self.ended:
            self._held_back = False
            self.transport.resume_reading()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def reusable(self) -> bool:
        """Whether nothing came on it since the last response: an app has nothing to say then."""
        return not self.ended and not self._chunks
