"""Uvicorn's WebSocket protocol, with a short way for whole short messages.

What it holds, of messages that are not whole, that wait for the app or for the browser, is on the
account of whose socket it is.
"""

import asyncio
import sys
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.protocol import OPEN

from .forwarding import close_frame
from .limits import PIECE_BYTES, Held
from .messages import HELD, TOO_MUCH, message_frame, too_large, whole_message

#: Messages that wait for the consumer before the browser has to.
_WAITING = 4
#: Seconds without a byte after which a browser has sent all of a message that is not taken.
_SILENT = 0.25


class _Waiting(asyncio.Queue[Any]):
    """Messages for the consumer, and the bytes of them and of the one that it is busy with."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.size = 0
        self._taken = 0

    def _put(self, item: dict[str, Any]) -> None:
        super()._put(item)
        self.size += _memory(item)

    def _get(self) -> dict[str, Any]:
        item: dict[str, Any] = super()._get()
        self._taken += _memory(item)
        return item

    def passed_on(self) -> None:
        """Note that the consumer is done with what it took."""
        self.size -= self._taken
        self._taken = 0

    def drop(self) -> None:
        """Forget all that waits."""
        taken = self._taken
        while not self.empty():
            self.get_nowait()
        self.size -= self._taken - taken
        self._taken = taken


def _memory(message: dict[str, Any]) -> int:
    """Return what a message takes in memory: of a text that is up to four bytes a character."""
    if message["type"] != "websocket.receive":
        return 0
    data = message.get("bytes")
    return PIECE_BYTES + sys.getsizeof(message["text"] if data is None else data)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Reads and writes most messages by itself, and leaves all else to uvicorn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queue: _Waiting = _Waiting()
        self._held: Held | None = None  # once the socket is accepted
        self._discards = False  # what is left of a message that was too large
        self._came = True

    def handle_connect(self, event: Any) -> None:
        """Read nothing behind the handshake before it is known whose socket it is."""
        super().handle_connect(event)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self._discards:
            self._came = True
            return
        message = whole_message(self.conn, data, masked=True)
        if message is None:
            super().data_received(data)
            if self._held is not None and not self._held.holds(self._size):
                self._too_much(self._held.refuse())
            return
        kind = "text" if isinstance(message, str) else "bytes"
        self.queue.put_nowait({"type": "websocket.receive", kind: message})
        if not self.read_paused and self.queue.qsize() >= _WAITING:
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        self.queue.passed_on()
        self._count()
        return await super().receive()

    async def send(self, message: Any) -> None:
        if (
            message["type"] != "websocket.send"
            or self.conn.state is not OPEN
            or not self.writable.is_set()
        ):
            await super().send(message)
            if message["type"] == "websocket.accept":
                self._accepted(message)
            elif message["type"] == "websocket.close" and self._held and self._held.size:
                self._leave()
        else:
            data = message.get("bytes")
            self.transport.write(message_frame(message["text"] if data is None else data))
        if not self.writable.is_set():
            self._count(always=True)

    def _accepted(self, message: Any) -> None:
        if self.handshake_complete:
            self._held = message.get(HELD)
            self.transport.resume_reading()

    def _leave(self) -> None:
        """Take nothing of a message that nobody waits for; the browser may be in the middle of it."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self._discard()

    # --- what is held ----------------------------------------------------------------------------

    @property
    def _size(self) -> int:
        """Bytes of messages that are not whole, that the app has not taken, nor the browser."""
        conn = self.conn
        begun = len(conn.reader.buffer) + (conn.current_size or 0) + PIECE_BYTES * len(self.frames)
        unsent = 0 if self.writable.is_set() else self.transport.get_write_buffer_size()
        return begun + self.queue.size + unsent

    def _count(self, *, always: bool = False) -> None:
        """Note what is held, where it was more than what any socket may hold for a moment."""
        if self._held is not None and (always or self._held.size):
            self._held.holds(self._size)

    def _forget(self) -> None:
        """Let go of what has come of a message that will not be whole."""
        self.frames = []
        self.conn.current_size = None
        self.conn.reader.discard()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._count()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()
        self._count()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.queue.drop()
        self.queue.passed_on()
        self._count()

    # --- messages that are too large -------------------------------------------------------------

    def handle_parser_exception(self) -> None:
        closing = self.conn.close_sent
        if not isinstance(self.conn.parser_exc, PayloadTooBig) or closing is None:
            super().handle_parser_exception()
            return
        self._refuse(closing.code, too_large(self.config.ws_max_size))

    def _too_much(self, reason: str) -> None:
        if self.close_sent or self.conn.state is not OPEN:
            self.transport.abort()  # it has been told to go
            return
        self.conn.fail(TOO_MUCH, reason)
        self.queue.drop()
        self._refuse(TOO_MUCH, reason)

    def _refuse(self, code: int, reason: str) -> None:
        """Close, and take no more of what comes."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(close_frame(code, reason))
        self.close_sent = True
        self._discard()

    def _discard(self) -> None:
        self._discards = True
        self._forget()
        self._count()
        self.transport.resume_reading()
        self._linger(self.loop.time() + self.close_timeout)

    def _linger(self, until: float) -> None:
        """Close once the browser is silent: a kernel that has bytes unread takes the reason back."""
        if not self._came or self.loop.time() > until:
            self.transport.close()
            return
        self._came = False
        self.close_timer = self.loop.call_later(_SILENT, self._linger, until)
