"""Uvicorn's WebSocket protocol, with a short way for whole short messages."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.protocol import OPEN

from .forwarding import close_frame
from .messages import message_frame, too_large, whole_message

#: Messages that wait for the consumer before the browser has to.
_WAITING = 4
#: Seconds without a byte after which a browser has sent all of a message that is not taken.
_SILENT = 0.25


class SocketProtocol(WebSocketsSansIOProtocol):
    """Reads and writes most messages by itself, and leaves all else to uvicorn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._discards = False  # what is left of a message that was too large
        self._came = True

    def data_received(self, data: bytes) -> None:
        if self._discards:
            self._came = True
            return
        message = whole_message(self.conn, data, masked=True)
        if message is None:
            super().data_received(data)
            return
        kind = "text" if isinstance(message, str) else "bytes"
        self.queue.put_nowait({"type": "websocket.receive", kind: message})  # type: ignore[arg-type]
        if not self.read_paused and self.queue.qsize() >= _WAITING:
            self.read_paused = True
            self.transport.pause_reading()

    async def send(self, message: Any) -> None:
        if (
            message["type"] != "websocket.send"
            or self.conn.state is not OPEN
            or not self.writable.is_set()
        ):
            await super().send(message)
            return
        data = message.get("bytes")
        self.transport.write(message_frame(message["text"] if data is None else data))

    # --- a message that is too large -------------------------------------------------------------

    def handle_parser_exception(self) -> None:
        closing = self.conn.close_sent
        if not isinstance(self.conn.parser_exc, PayloadTooBig) or closing is None:
            super().handle_parser_exception()
            return
        code, reason = closing.code, too_large(self.config.ws_max_size)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(close_frame(code, reason))
        self.close_sent = self._discards = True
        self.transport.resume_reading()
        self._linger(self.loop.time() + self.close_timeout)

    def _linger(self, until: float) -> None:
        """Close once the browser is silent: a kernel that has bytes unread takes the reason back."""
        if not self._came or self.loop.time() > until:
            self.transport.close()
            return
        self._came = False
        self.close_timer = self.loop.call_later(_SILENT, self._linger, until)
