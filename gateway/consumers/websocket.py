"""WebSockets to apps: accepted only after the app accepted, passed on message by message."""

import asyncio
import contextlib
import logging
import secrets
import sys
import time
from typing import Any

from channels.consumer import AsyncConsumer
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, Event
from websockets.uri import WebSocketURI

from .. import pages
from ..answers import own_answer
from ..core import Gateway
from ..forwarding import Headers, forwarded_fields, to_app_websocket, to_client
from ..gate import Admitted
from ..limits import PIECE_BYTES
from ..messages import HELD, TOO_MUCH, message_frame, too_large, whole_message
from ..refusals import Scope, TurnedAway
from ..upstream import AppUnreachable, Splice
from .passage import ClientGone, Passage, Receive, Send

log = logging.getLogger("gateway.websocket")

#: Seconds that the app has to answer a close.
CLOSE_PATIENCE = 2.0
# Registered: "forbidden", "bad gateway", "message too big".
REVOKED, APP_LOST, TOO_LARGE = 3003, 1014, 1009
_NOT_SENT = frozenset((1005, 1006, 1015))  # codes that only exist in memory
_NOWHERE = WebSocketURI(False, "app", 80, "/", "")
_HANDSHAKE_FIELDS = frozenset(
    (b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions", b"date",
     b"server", b"content-length")
)  # fmt: skip


class AppWebSocketConsumer(AsyncConsumer):
    """One WebSocket to an app."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        socket = _Socket(scope["state"]["gateway"], scope, receive, send)
        try:
            await socket.run()
        except TurnedAway as turned:
            await socket.answer(turned)
        except AppUnreachable as error:
            await socket.answer(TurnedAway(pages.app_unreachable(str(error))))
        except asyncio.CancelledError:
            if not socket.take_end():
                raise
            await socket.answer(TurnedAway(pages.forbidden("Your access has ended.")))
        except (ClientGone, OSError):
            pass  # uvicorn's ClientDisconnected is an OSError
        except Exception:
            log.exception("A WebSocket could not be passed on.")
            await socket.answer(TurnedAway(pages.failed()))
        finally:
            socket.note(time.monotonic() - began)


class _Socket(Passage):
    """Both ends of a WebSocket, and the two streams of messages between them."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(gateway, scope)
        self._receive = receive
        self._send = send
        self._status = 0
        self._client_code: int | None = None
        subprotocols = scope["subprotocols"] or None
        self._largest = gateway.limits.settings.message_bytes
        self._app = ClientProtocol(
            _NOWHERE, subprotocols=subprotocols, max_size=self._largest or None
        )
        self._early: list[Event] = []
        self._parts: list[bytes] = []
        self._part_bytes = 0
        self._held = gateway.limits.messages.held("")  # of what the app sends
        self._over = ""  # the reason, if it held too much
        self._text = False

    async def run(self) -> None:
        """Carry the WebSocket to its end; raises what the consumer answers with a page."""
        if (await self._receive())["type"] != "websocket.connect":
            raise ClientGone
        admitted = await self.admit()
        self._held = self.gateway.limits.messages.held(self.user)
        access = self.gateway.access
        access.hold(admitted.question, admitted.grant, self)
        try:
            stream = await self.connect(admitted)
            try:
                await self._carry(admitted, stream)
            finally:
                self._held.holds(0)
                self._leave(admitted, stream)
        finally:
            access.release(self)

    def _leave(self, admitted: Admitted, stream: Splice) -> None:
        """End the app's side. What it has not taken by now would lie here for as long as it likes."""
        key = (admitted.grant.node, admitted.grant.app_id)
        self.gateway.pool.discard(key, stream, gently=not stream.full)
        asyncio.get_running_loop().call_later(CLOSE_PATIENCE, stream.abort)

    async def _carry(self, admitted: Admitted, stream: Splice) -> None:
        response = await self._handshake(admitted, stream)
        if response.status_code != 101:
            await self._pass_refusal(admitted, response)
            return
        self._status = 101
        fields = [
            (name, value)
            for name, value in self._fields(admitted, response)
            if name not in _HANDSHAKE_FIELDS
        ]
        held = self.gateway.limits.messages.held(self.user)
        accept = {"type": "websocket.accept", "headers": fields, HELD: held}
        await self._send({**accept, "subprotocol": self._app.subprotocol})
        upwards = asyncio.create_task(self._upwards(stream))
        try:
            await self._downwards(stream)
        finally:
            upwards.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await upwards
        await self._close_client()

    # --- handshake with the app ------------------------------------------------------------------

    async def _handshake(self, admitted: Admitted, stream: Splice) -> Response:
        fields = to_app_websocket(
            self.scope["headers"],
            admitted.sent.cookies.rest,
            forwarded_fields(admitted.sender),
            dict(stream.inject),
        )
        strip = stream.stripped(admitted.path.prefix)
        request = Request(self.target(strip).decode("ascii"), self._app.connect().headers)
        del request.headers["Host"]
        for name, value in fields:
            request.headers[name.decode("latin-1")] = value.decode("latin-1")
        self._app.send_request(request)
        self._flush(stream)
        while True:
            data = await stream.read()
            if data:
                self._app.receive_data(data)
            else:
                self._app.receive_eof()
            events = self._app.events_received()
            if events and isinstance(events[0], Response):
                self._early = events[1:]
                return self._checked(events[0])
            if self._app.handshake_exc is not None or not data:
                raise AppUnreachable("The app did not answer the WebSocket.")

    def _checked(self, response: Response) -> Response:
        if response.status_code == 101 and self._app.handshake_exc is not None:
            raise AppUnreachable("The app’s answer to the WebSocket is not valid.")
        if response.status_code != 101 and response.status_code < 200:
            raise AppUnreachable("The app’s answer to the WebSocket is not final.")
        return response

    def _fields(self, admitted: Admitted, response: Response) -> Headers:
        raw = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.raw_items()
        ]
        return to_client(raw, admitted.path.prefix, response.status_code)

    async def _pass_refusal(self, admitted: Admitted, response: Response) -> None:
        """Give the client the app's own answer instead of a WebSocket."""
        fields = [
            (name, value)
            for name, value in self._fields(admitted, response)
            if name != b"content-length"
        ]
        await self._refuse(response.status_code, fields, bytes(response.body))

    # --- messages --------------------------------------------------------------------------------

    async def _downwards(self, stream: Splice) -> None:
        """Pass what the app sends to the client, until either ends."""
        if not await self._pass(self._early, stream):
            return
        turns = self.gateway.limits.turns
        while data := await stream.read():
            message = whole_message(self._app, data, masked=False)
            if message is not None:
                await self._send_message(message)
            elif not await self._parse(data, stream):
                return
            if not turns.take(self.user):
                await turns.mine(self.user)

    async def _parse(self, data: bytes, stream: Splice) -> bool:
        """Have the library read what is not a message and no more; returns whether it goes on."""
        self._app.receive_data(data)
        return await self._pass(self._app.events_received(), stream)

    async def _pass(self, events: list[Event], stream: Splice) -> bool:
        """Pass on the messages that are whole; returns whether it goes on."""
        left = sum(map(_size, events))
        if not self._held.holds(self._under_way + left):
            self._too_much(stream)
            return False
        await self._send_whole(events, left)
        self._held.holds(self._under_way)
        self._flush(stream)
        if self._app.close_rcvd is not None or self._app.parser_exc is not None:
            return False
        await stream.drain()
        return True

    async def _send_whole(self, events: list[Event], left: int) -> None:
        """Send the messages that are whole; ``left``: bytes of all these events."""
        events.reverse()
        while events:
            left -= _size(events[-1])
            message = self._message_of(events.pop())
            if message is not None:
                self._held.holds(self._under_way + left + sys.getsizeof(message))
                await self._send_message(message)

    @property
    def _under_way(self) -> int:
        """Bytes that are held of a message of the app's that is not whole."""
        return len(self._app.reader.buffer) + self._part_bytes

    def _too_much(self, stream: Splice) -> None:
        self._over = self._held.refuse()
        self._app.fail(TOO_MUCH, self._over)
        self._app.reader.discard()
        self._parts.clear()
        self._held.holds(0)
        self._flush(stream)

    def _message_of(self, event: Event) -> bytes | str | None:
        """Return the message that ends with a frame, if one does."""
        if not isinstance(event, Frame) or event.opcode in (
            Opcode.PING, Opcode.PONG, Opcode.CLOSE
        ):  # fmt: skip
            return None
        if event.opcode is not Opcode.CONT:
            self._text = event.opcode is Opcode.TEXT
        if not event.fin or self._parts:
            self._parts.append(bytes(event.data))
            self._part_bytes += len(event.data) + PIECE_BYTES
            if not event.fin:
                return None
        data = b"".join(self._parts) if self._parts else bytes(event.data)
        self._parts.clear()
        self._part_bytes = 0
        try:
            return data.decode() if self._text else data
        except UnicodeDecodeError:
            self._app.fail(1007, "not UTF-8")
            raise AppUnreachable("The app sent text that is not UTF-8.") from None

    async def _send_message(self, message: bytes | str) -> None:
        kind = "text" if isinstance(message, str) else "bytes"
        await self._send({"type": "websocket.send", kind: message})

    async def _upwards(self, stream: Splice) -> None:
        """Pass what the client sends to the app, until the client closes."""
        turns = self.gateway.limits.turns
        while True:
            # No name here holds on to a message while the app takes its time.
            if not self._to_app(await self._receive(), stream):
                return
            if stream.full:
                await stream.drain()
            if not turns.take(self.user):
                await turns.mine(self.user)

    def _to_app(self, message: dict[str, Any], stream: Splice) -> bool:
        """Send one message, or the client's close; returns whether more may follow."""
        if self._app.state is not OPEN:
            return False
        if message["type"] == "websocket.disconnect":
            self._client_closed(message, stream)
            return False
        text = message.get("text")
        data = message["bytes"] if text is None else text
        stream.write(message_frame(data, secrets.token_bytes(4)))
        return True

    def _client_closed(self, message: dict[str, object], stream: Splice) -> None:
        code = message.get("code", 1005)
        self._client_code = code if isinstance(code, int) else 1005
        try:
            if self._client_code in _NOT_SENT:
                self._app.send_close()
            else:
                self._app.send_close(self._client_code, str(message.get("reason") or ""))
        except ProtocolError:
            self._app.send_close(1002)
        self._flush(stream)
        asyncio.get_running_loop().call_later(CLOSE_PATIENCE, stream.abort)

    def _flush(self, stream: Splice) -> None:
        data = b"".join(self._app.data_to_send())
        if data:
            stream.write(data)

    # --- the end ---------------------------------------------------------------------------------

    async def _close_client(self) -> None:
        self.finished = True
        if self._client_code is not None:
            return
        if isinstance(self._app.parser_exc, PayloadTooBig):
            await self._close(TOO_LARGE, too_large(self._largest))
            return
        if self._over:
            await self._close(TOO_MUCH, self._over)
            return
        received = self._app.close_rcvd
        code = received.code if received else APP_LOST
        await self._close(1000 if code == 1005 else code, received.reason if received else "")

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def answer(self, turned: TurnedAway) -> None:
        """Refuse the handshake, or close what was accepted."""
        if self._status == 101:
            page = turned.page
            revoked = page is not None and page.status == 403
            await self._close(REVOKED if revoked else APP_LOST, page.title if page else "")
            return
        if turned.page is None:
            turned = TurnedAway(pages.not_found())  # WebSockets are not redirected
        await self._refuse(*own_answer(self.gateway, self.scope["headers"], turned))

    async def _refuse(self, status: int, fields: Headers, body: bytes) -> None:
        self._status = status
        if "websocket.http.response" not in self.scope.get("extensions", {}):
            await self._close(REVOKED, "")
            return
        start = {"type": "websocket.http.response.start", "status": status, "headers": fields}
        with contextlib.suppress(OSError):
            await self._send(start)
            await self._send({"type": "websocket.http.response.body", "body": body})

    def note(self, seconds: float) -> None:
        """Write the line of the access log."""
        self.note_as("WEBSOCKET", self._status, seconds)


def _size(event: Event) -> int:
    """Return the bytes that a frame holds."""
    return PIECE_BYTES + len(event.data) if isinstance(event, Frame) else 0
