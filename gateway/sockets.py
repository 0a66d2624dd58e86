"""Uvicorn's WebSocket protocol, with a short way for whole short messages."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import PayloadTooBig
from websockets.protocol import OPEN

from .forwarding import close_frame
from .messages import message_frame, too_large, whole_message

#: Messages that wait for the consumer before the browser has to.
_WAITING = 4


class SocketProtocol(WebSocketsSansIOProtocol):
    """Reads and writes most messages by itself, and leaves all else to uvicorn."""

    def data_received(self, data: bytes) -> None:
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

    def handle_parser_exception(self) -> None:
        """Say which limit it was that a message was over."""
        if isinstance(self.conn.parser_exc, PayloadTooBig) and self.conn.close_sent is not None:
            reason = too_large(self.config.ws_max_size)
            self.conn.close_sent.reason = reason
            self.conn.writes = [close_frame(self.conn.close_sent.code, reason)]
        super().handle_parser_exception()
