"""One request on the express way: to the app and back, without a task or a message a piece."""

import asyncio
import time
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from websockets.utils import accept_key

from .. import pages
from ..answers import own_answer
from ..forwarding import (
    BadRequest,
    chunk,
    fields_to_app,
    header,
    is_repeatable,
    may_hold_token,
    serialize_head,
    target_of,
    to_client,
)
from ..gate import Passed, TurnedAway
from ..pages import Page
from ..upstream import AppResponse, AppUnreachable, PlainHead, Splice, plain_head
from .head import SWITCH, Head
from .socket import Socket

if TYPE_CHECKING:
    from .connection import Connection

#: Bytes kept of a request that waits for its turn, or for a connection to the app.
MAX_EARLY = 256 * 1024
_STATUS = {status: line.rstrip() for status, line in STATUS_LINE.items()}


class Exchange:
    """A request, its way to the app, and the response's way back."""

    __slots__ = (
        "_admitted", "_again", "_began", "_client", "_coded", "_connecting", "_data", "_head",
        "_key", "_passed", "_response", "_status", "_stream", "_turns", "_unsent", "_waiting", "last",
    )  # fmt: skip

    def __init__(self, client: "Connection", head: Head, passed: Passed, data: bytes) -> None:
        self._began = time.monotonic()
        self._client = client
        self._head = head
        self._passed = passed
        admitted = self._admitted = passed.admitted
        self._key = admitted.grant.node, admitted.grant.app_id
        self._data = data  # the request as it came, as long as it may have to begin again
        self._unsent = head.fields.length  # bytes of the body that have not come yet
        self._again = is_repeatable(head.method) and len(data) >= head.size + self._unsent
        self._stream: Splice | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._response: AppResponse | None = None  # once the first of it came, in pieces
        self._status = 0
        self._coded = False  # the answer goes out in chunks
        self.last = False  # close after this one
        self._turns = client.gateway.limits.turns
        self._waiting = False  # for a turn of the loop in which it may begin

    def begin(self) -> None:
        """Send the request to the app as soon as it is its person's turn."""
        gateway = self._client.gateway
        gateway.access.hold(self._admitted.question, self._admitted.grant, self)
        if self._turns.take(self._admitted.grant.user):
            self._go()
            return
        self._waiting = True
        self._turns.wait(self._admitted.grant.user, self._go_later)

    def _go_later(self) -> None:
        if self._waiting:
            self._waiting = False
            self._go()

    def _go(self) -> None:
        gateway = self._client.gateway
        stream = gateway.pool.take(self._key, fresh=not self._again)
        if stream is not None:
            self._send(stream)
        else:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        gateway = self._client.gateway
        node = gateway.tunnel.node(self._admitted.grant.node)
        try:
            if node is None:
                raise AppUnreachable
            stream = await gateway.pool.open(self._key, node.connect)
        except (AppUnreachable, OSError, TimeoutError):
            self._fall_through()  # to where is waited, asked again and explained
            return
        self._connecting = None
        self._send(stream)

    def _fall_through(self) -> None:
        self._release()
        self._client.fall_through(self._data)

    # --- to the app ------------------------------------------------------------------------------

    def _send(self, stream: Splice) -> None:
        head = self._head
        try:
            request = self._request(stream)
        except BadRequest:  # of the node's making: the request was read strictly
            self._client.gateway.pool.discard(self._key, stream)
            self._fall_through()
            return
        data, size = self._data, head.size
        self._stream, stream.receiver = stream, self
        if len(data) == size:  # a head alone, as of nearly all requests
            if not self._again:
                self._data = b""
            stream.write(request)
        else:
            whole = size + head.fields.length
            behind, data = data[whole:], data[:whole]
            self._data = data if self._again else b""
            self._unsent = whole - len(data)
            stream.write(request + data[size:])
            self._client.hold(behind)
        if self._unsent:
            self._client.body_comes()
        self._client.resume()

    def _request(self, stream: Splice) -> bytes:
        head, passed = self._head, self._passed
        if passed.inject is not stream.inject:
            passed.fields = fields_to_app(
                head.fields.sent, self._admitted.sender, stream.inject, head.fields.own
            )
            passed.inject = stream.inject
        if not stream.strip and not may_hold_token(head.query):
            return head.first + passed.fields
        strip = stream.stripped(self._admitted.path.prefix)
        target = target_of(head.path, head.query, strip)
        return b"%b %b HTTP/1.1%b" % (head.method.encode(), target, passed.fields)

    def from_client(self, data: bytes) -> None:
        """Take more from the browser: the body's rest, or what is behind it."""
        if self._connecting is not None or self._waiting:
            self._data += data
            if len(self._data) > MAX_EARLY:
                self._client.pause()
            return
        part = data[: self._unsent]
        self._unsent -= len(part)
        if not self._unsent:
            self._client.body_came()
        else:
            self._client.more_came(len(part))
        if self._stream is not None:
            self._stream.write(part)
            self._client.hold(data[len(part) :])
        else:  # the answer is out already: the rest is read to leave the connection usable
            self._client.hold(data[len(part) :])
            if not self._unsent:
                self._client.answered(last=self.last)

    def app_full(self) -> None:
        self._client.pause()

    def app_ready(self) -> None:
        self._client.resume()

    # --- from the app ----------------------------------------------------------------------------

    def from_app(self, data: bytes) -> None:
        response = self._response
        if response is None:
            if self._take_whole(data):
                return
            response = self._response = self._expect()
        began = response.started
        try:
            response.feed(data)
            if response.interim:
                self._pass_interim(response)
            if not response.started:
                return
            body = response.take()
            head = b"" if began else self._begin_answer(response)
        except (AppUnreachable, BadRequest) as error:
            self._fail(str(error))
            return
        if response.switched:
            self._switch(head, response.rest)
            return
        self._pass(response, head, body)

    def _pass_interim(self, response: AppResponse) -> None:
        """Pass on what an app says ahead of its answer. Who comes this way speaks HTTP/1.1."""
        prefix = self._admitted.path.prefix
        strip = self._stream.stripped(prefix) if self._stream is not None else b""
        for status, fields in response.take_interim(prefix, strip):
            self._client.transport.write(serialize_head(_STATUS[status], fields))

    def _expect(self) -> AppResponse:
        return AppResponse(self._head.method.encode(), upgrade=bool(self._head.fields.websocket))

    def _take_whole(self, data: bytes) -> bool:
        """Pass on a plain answer that came all at once, as most do; returns whether it is one."""
        if self._head.fields.websocket or self._head.method == "HEAD" or self.last:
            return False
        plain = plain_head(data)
        if plain is None or len(data) != plain.size + plain.length:
            return False
        self._client.transport.write(self._plain(plain) + data[plain.size :])
        self._status = plain.status
        self._end_stream(keep=plain.keep_alive and not self._unsent)
        self._close()
        return True

    def _plain(self, plain: PlainHead) -> bytes:
        """Return the head of such an answer, as the browser gets it."""
        prefix = self._admitted.path.prefix
        strip = self._stream.stripped(prefix) if self._stream is not None else b""
        return plain.as_sent(_STATUS[plain.status], prefix, strip)

    def _pass(self, response: AppResponse, head: bytes, body: bytes) -> None:
        complete = response.complete
        if self._coded:
            body = chunk(body, last=complete)
        if head or body:
            self._client.transport.write(head + body if head else body)
        if complete:
            self._end_stream(keep=response.keep_alive and not self._unsent)
            self._close()
        elif body and not self._turns.take(self._admitted.grant.user):
            self._pause_stream()

    def _pause_stream(self) -> None:
        """Read no more of the answer until it is its person's turn again."""
        stream = self._stream
        assert stream is not None

        def go_on() -> None:
            if self._stream is stream and not self._client.flow.write_paused:
                stream.resume_reading()

        stream.pause_reading()
        self._turns.wait(self._admitted.grant.user, go_on)

    def _begin_answer(self, response: AppResponse) -> bytes:
        """Return the head of the answer; raises ``AppUnreachable`` if it cannot be passed on."""
        prefix = self._admitted.path.prefix
        strip = self._stream.stripped(prefix) if self._stream is not None else b""
        fields = to_client(response.headers, prefix, response.status, strip)
        if response.status == 101:
            if not self._is_agreed(response):
                raise AppUnreachable("The app’s answer to the WebSocket is not valid.")
            fields += SWITCH
        elif not header(fields, b"content-length"):
            self._coded = self._head.method != "HEAD" and response.status not in (204, 304)
            if self._coded:
                fields.append((b"transfer-encoding", b"chunked"))
        if self.last:
            fields.append((b"connection", b"close"))
        head = serialize_head(_STATUS[response.status], fields)
        self._status = response.status
        return head

    def _is_agreed(self, response: AppResponse) -> bool:
        agreed = header(response.headers, b"sec-websocket-accept")
        return (
            response.switched
            and agreed == accept_key(self._head.fields.websocket.decode()).encode()
        )

    def app_ended(self) -> None:
        """The app closed the connection: the end of its answer, or of an idle connection."""
        stream = self._stream
        if stream is None:
            return
        if self._response is None and stream.uses and self._again:
            self._end_stream()
            self._fall_through()  # the app had closed it before it saw the request
            return
        response = self._response or self._expect()
        try:
            response.feed_eof()
        except AppUnreachable as error:
            self._fail(str(error))
            return
        self._pass(response, b"", b"")

    # --- the end ---------------------------------------------------------------------------------

    def _close(self) -> None:
        """The answer is out."""
        self._release()
        self._note()
        if self.last or not self._unsent:
            self._client.answered(last=self.last)
        else:
            self._client.resume()

    def _fail(self, cause: str) -> None:
        """Say that the app gave no answer; one that has begun can only be cut off."""
        self._end_stream()
        self._answer(TurnedAway(pages.app_unreachable(cause)))

    def _answer(self, turned: TurnedAway) -> None:
        self.last = True
        if not self._status:
            headers = self._head.fields.sent.headers
            self._status, fields, body = own_answer(self._client.gateway, headers, turned)
            fields.append((b"connection", b"close"))
            self._client.transport.write(serialize_head(_STATUS[self._status], fields) + body)
        self._close()

    def revoke(self) -> None:
        """End now, because the grant is gone."""
        self.turn_away(pages.forbidden("Your access has ended."))

    def turn_away(self, page: Page) -> None:
        """End now, and say why; an answer that has begun can only be cut off."""
        begun = bool(self._status)
        if self._is_under_way():
            self._cancel()
            self._end_stream()
            self._answer(TurnedAway(page))
        if begun:
            self._client.transport.abort()

    def _is_under_way(self) -> bool:
        return self._stream is not None or self._connecting is not None or self._waiting

    def client_lost(self) -> None:
        """The browser went away, and so ends the app's work for it."""
        if not self._is_under_way():
            return
        self._cancel()
        self._end_stream()
        self._release()
        self._note()

    def client_full(self) -> None:
        if self._stream is not None:
            self._stream.pause_reading()

    def client_ready(self) -> None:
        if self._stream is not None:
            self._stream.resume_reading()

    def _switch(self, head: bytes, rest: bytes) -> None:
        """Both have agreed on a WebSocket: pass bytes from here on."""
        assert self._stream is not None
        client, stream, self._stream = self._client, self._stream, None
        stream.receiver = None
        client.transport.write(head)
        self._release()
        socket = Socket(client.gateway, self._admitted, stream, self._head.path)
        early = (client.leave(), rest)
        socket.begin(client.transport, client.server_state, early)

    def _cancel(self) -> None:
        self._waiting = False
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None

    def _end_stream(self, *, keep: bool = False) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        stream.receiver = None
        stream.resume_reading()
        pool = self._client.gateway.pool
        (pool.give_back if keep else pool.discard)(self._key, stream)

    def _release(self) -> None:
        self._client.gateway.access.release(self)

    def _note(self) -> None:
        """Write down that it is over."""
        head, admitted = self._head, self._admitted
        what = ("WEBSOCKET" if head.fields.websocket else head.method, head.path)
        who = (admitted.sender.client, admitted.grant.user)
        seconds = time.monotonic() - self._began
        self._client.gateway.note("express", who, what, self._status, seconds)
