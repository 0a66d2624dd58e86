"""One request on the express way: to the app and back, without a task or a message a piece."""

import asyncio
import time
from typing import TYPE_CHECKING

from .. import pages
from ..answers import own_answer
from ..forwarding import (
    BadRequest,
    fields_to_app,
    is_repeatable,
    may_hold_token,
    serialize_head,
    target_of,
)
from ..gate import Passed
from ..pages import Page
from ..refusals import TurnedAway
from ..upstream import AppUnreachable, Splice
from .answer import FIRST_LINE, Answer, whole_answer
from .head import Head
from .socket import Socket

if TYPE_CHECKING:
    from .connection import Connection

#: Bytes kept of a request that waits for its turn, or for a connection to the app.
MAX_EARLY = 256 * 1024


class Exchange:
    """A request, its way to the app, and the response's way back."""

    __slots__ = (
        "_again", "_answer", "_began", "_client", "_connecting", "_data", "_head", "_passed", "_resting",
        "_status", "_stream", "_unsent", "_waiting", "last",
    )  # fmt: skip

    def __init__(self, client: "Connection", head: Head, passed: Passed, data: bytes) -> None:
        self._began = time.monotonic()
        self._client = client
        self._head = head
        self._passed = passed
        self._data = data  # the request as it came, as long as it may have to begin again
        self._unsent = head.fields.length  # bytes of the body that have not come yet
        self._again = is_repeatable(head.method) and len(data) >= head.size + self._unsent
        self._stream: Splice | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._answer: Answer | None = None  # once the first of it came, in pieces
        self._status = 0
        self.last = False  # close after this one
        self._resting = False  # its body does, until a turn
        self._waiting = False  # for a turn of the loop in which it may begin

    def begin(self) -> None:
        """Send the request to the app as soon as it is its person's turn."""
        gateway, admitted = self._client.gateway, self._passed.admitted
        gateway.access.hold(admitted.question, admitted.grant, self)
        if gateway.limits.turns.take(admitted.grant.user):
            self._go()
            return
        self._waiting = True
        gateway.limits.turns.wait(admitted.grant.user, self._go_later)

    def _go_later(self) -> None:
        if self._waiting:
            self._waiting = False
            self._go()

    def _go(self) -> None:
        stream = self._client.gateway.pool.take(self._passed.key, fresh=not self._again)
        if stream is not None:
            self._send(stream)
        else:
            self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        gateway, key = self._client.gateway, self._passed.key
        node = gateway.tunnel.node(key[0])
        try:
            if node is None:
                raise AppUnreachable
            stream = await gateway.pool.open(key, node.connect)
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
        try:
            request = self._request(stream)
        except BadRequest:  # of the node's making: the request was read strictly
            self._client.gateway.pool.discard(self._passed.key, stream)
            self._fall_through()
            return
        self._stream, stream.receiver = stream, self
        if len(self._data) == self._head.size and not self._unsent:  # as of nearly all requests
            stream.write(request)
        else:
            self._send_body(stream, request)
        if not self._again:
            self._data = b""
        self._client.resume()

    def _send_body(self, stream: Splice, request: bytes) -> None:
        """Send the request with what has come of its body, and keep what is behind it."""
        size = self._head.size
        whole = size + self._head.fields.length
        behind, self._data = self._data[whole:], self._data[:whole]
        self._unsent = whole - len(self._data)
        stream.write(request + self._data[size:])
        self._client.hold(behind)
        if self._unsent:
            self._client.body_comes()

    def _request(self, stream: Splice) -> bytes:
        head, passed = self._head, self._passed
        if passed.inject is not stream.inject:
            passed.fields = fields_to_app(
                head.fields.sent, passed.admitted.sender, stream.inject, head.fields.own
            )
            passed.inject = stream.inject
        if not stream.strip and not (head.query and may_hold_token(head.query)):
            return head.first + passed.fields
        strip = stream.stripped(passed.admitted.path.prefix)
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
            if self._unsent:
                self._share(self._stream)
        else:  # the answer is out already: the rest is read to leave the connection usable
            self._client.hold(data[len(part) :])
            if not self._unsent:
                self._client.answered(last=self.last)

    def _share(self, stream: Splice) -> None:
        """Read no more of the body until its person has a turn, if they had this one."""
        turns, user = self._client.gateway.limits.uploads, self._passed.admitted.grant.user
        if turns.take(user):
            return

        def go_on() -> None:
            self._resting = False
            if self._stream is stream and not stream.full:
                self._client.resume()

        self._resting = True
        self._client.pause()
        turns.wait(user, go_on)

    def app_full(self) -> None:
        self._client.pause()

    def app_ready(self) -> None:
        if not self._resting:
            self._client.resume()

    # --- from the app ----------------------------------------------------------------------------

    def from_app(self, data: bytes) -> None:
        if self._answer is None and not self.last and self._take_whole(data):
            return
        answer = self._expect()
        try:
            out = answer.feed(data, last=self.last)
        except (AppUnreachable, BadRequest) as error:
            self._fail(str(error))
            return
        self._pass(answer, out)

    def _take_whole(self, data: bytes) -> bool:
        """Pass on an answer that came all at once, as most do; returns whether it is one."""
        head, stream = self._head, self._stream
        if stream is None or head.fields.websocket or head.method == "HEAD":
            return False
        prefix = self._passed.admitted.path.prefix
        found = whole_answer(data, prefix, stream.stripped(prefix))
        if found is None:
            return False
        self._status, out, keep = found
        self._client.transport.write(out)
        self._end_stream(keep=keep and not self._unsent)
        self._close()
        return True

    def _expect(self) -> Answer:
        """Return the answer that comes in pieces."""
        if self._answer is None:
            prefix = self._passed.admitted.path.prefix
            strip = self._stream.stripped(prefix) if self._stream is not None else b""
            self._answer = Answer(self._head, prefix, strip)
        return self._answer

    def _pass(self, answer: Answer, out: bytes) -> None:
        self._status = answer.status
        if answer.switched:
            self._switch(out, answer.rest)
            return
        if out:
            self._client.transport.write(out)
        if answer.complete:
            self._end_stream(keep=answer.keep_alive and not self._unsent)
            self._close()
        elif out and not self._client.gateway.limits.turns.take(self._passed.admitted.grant.user):
            self._pause_stream()

    def _pause_stream(self) -> None:
        """Read no more of the answer until it is its person's turn again."""
        stream = self._stream
        assert stream is not None

        def go_on() -> None:
            if self._stream is stream and not self._client.flow.write_paused:
                stream.resume_reading()

        stream.pause_reading()
        self._client.gateway.limits.turns.wait(self._passed.admitted.grant.user, go_on)

    def app_ended(self) -> None:
        """The app closed the connection: the end of its answer, or of an idle connection."""
        stream = self._stream
        if stream is None:
            return
        if self._answer is None and stream.uses and self._again:
            self._end_stream()
            self._fall_through()  # the app had closed it before it saw the request
            return
        answer = self._expect()
        try:
            out = answer.end(last=self.last)
        except (AppUnreachable, BadRequest) as error:
            self._fail(str(error))
            return
        self._pass(answer, out)

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
        self._turn_away(TurnedAway(pages.app_unreachable(cause)))

    def _turn_away(self, turned: TurnedAway) -> None:
        self.last = True
        if not self._status:
            headers = self._head.fields.sent.headers
            self._status, fields, body = own_answer(self._client.gateway, headers, turned)
            fields.append((b"connection", b"close"))
            self._client.transport.write(serialize_head(FIRST_LINE[self._status], fields) + body)
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
            self._turn_away(TurnedAway(page))
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
        socket = Socket(client.gateway, self._passed.admitted, stream, self._head.path)
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
        (pool.give_back if keep else pool.discard)(self._passed.key, stream)

    def _release(self) -> None:
        self._client.gateway.access.release(self)

    def _note(self) -> None:
        """Write down that it is over."""
        head, admitted = self._head, self._passed.admitted
        what = ("WEBSOCKET" if head.fields.websocket else head.method, head.path)
        who = (admitted.sender.client, admitted.grant.user)
        seconds = time.monotonic() - self._began
        self._client.gateway.note("express", who, what, self._status, seconds)
