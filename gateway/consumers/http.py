"""Requests to apps, passed on chunk by chunk both ways."""

import asyncio
import logging
import time

from channels.consumer import AsyncConsumer

from .. import pages
from ..answers import framed, own_answer
from ..core import Gateway
from ..forwarding import (
    BadRequest,
    Framing,
    chunk,
    head_to_app,
    header,
    is_repeatable,
)
from ..gate import Admitted
from ..refusals import Scope, TurnedAway
from ..upstream import AppResponse, AppUnreachable, Splice
from .passage import ClientGone, Passage, Receive, Send

log = logging.getLogger("gateway.http")


_NO_BODY = Framing("none")


class _Stale(Exception):
    """The app had closed the idle connection before it saw the request."""


class AppHttpConsumer(AsyncConsumer):
    """One HTTP request to an app."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        exchange = _Exchange(scope["state"]["gateway"], scope, receive, send)
        try:
            await exchange.run()
        except TurnedAway as turned:
            await exchange.answer(turned)
        except BadRequest as error:
            await exchange.answer(TurnedAway(pages.bad_request(str(error))))
        except AppUnreachable as error:
            await exchange.answer(TurnedAway(pages.app_unreachable(str(error))))
        except asyncio.CancelledError:
            why = exchange.take_end()
            if not why:
                raise
            if why == "revoked":
                await exchange.answer(TurnedAway(pages.forbidden("Your access has ended.")))
        except ClientGone:
            exchange.finished = True
        except Exception:
            log.exception("A request could not be passed on.")
            await exchange.answer(TurnedAway(pages.failed()))
        finally:
            exchange.note(time.monotonic() - began)


class _Exchange(Passage):
    """A request, its way to the app, and the response's way back."""

    def __init__(self, gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(gateway, scope)
        self._receive = receive
        self._send = send
        self._status = 0
        self._framing = _NO_BODY
        self._first = b""
        self._more = False
        self._rest: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Carry the request; raises what the consumer answers with a page."""
        admitted = await self.admit()
        access = self.gateway.access
        access.hold(admitted.question, admitted.grant, self)
        turns = self.gateway.limits.turns
        try:
            self._framing = admitted.sent.framing
            if self._framing.kind != "none":
                await self._begin_body()
            if not turns.take(self.user):
                await turns.mine(self.user)
            try:
                await self._attempt(admitted, again=False)
            except _Stale:
                await self._attempt(admitted, again=True)
        finally:
            access.release(self)

    async def _begin_body(self) -> None:
        """Take the first part of the body. Only here, after admission, goes a 100 Continue out."""
        if header(self.scope["headers"], b"upgrade"):
            raise BadRequest("A request that asks for another protocol cannot have a body.")
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._first, self._more = message.get("body", b""), message.get("more_body", False)

    async def _attempt(self, admitted: Admitted, *, again: bool) -> None:
        key = (admitted.grant.node, admitted.grant.app_id)
        pool = self.gateway.pool
        repeatable = not self._more and is_repeatable(self.scope["method"])
        stream = None if again else pool.take(key, fresh=not repeatable)
        if stream is None:
            stream = await self.connect(admitted)
        response = AppResponse(self.scope["method"].encode())
        try:
            self._write_request(admitted, stream)
            await self._relay(admitted, stream, response, repeatable=repeatable)
        finally:
            self._stop_watching()
            if response.keep_alive and self.finished and not self._more:
                pool.give_back(key, stream)
            else:
                pool.discard(key, stream)

    def _write_request(self, admitted: Admitted, stream: Splice) -> None:
        strip = stream.stripped(admitted.path.prefix)
        head = head_to_app(
            b"%b %b HTTP/1.1" % (self.scope["method"].encode(), self.target(strip)),
            admitted.sent,
            sender=admitted.sender,
            inject=stream.inject,
            own=self._framing.fields,
        )
        stream.write(head + self._coded(self._first, last=not self._more))

    def _coded(self, body: bytes, *, last: bool) -> bytes:
        return chunk(body, last=last) if self._framing.kind == "chunked" else body

    # --- the client's side -----------------------------------------------------------------------

    def _watch(self, stream: Splice) -> None:
        """Send the rest of the body, if there is one, and notice when the client goes away."""
        if self._more:
            self._start_watching(stream)
        else:
            self.gateway.lasting.add(self, lambda: self._start_watching(stream))

    def _start_watching(self, stream: Splice) -> None:
        self._rest = asyncio.create_task(self._pump(stream))

    def _stop_watching(self) -> None:
        self.gateway.lasting.done(self)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    async def _pump(self, stream: Splice) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.end("gone")
                return
            last = not message.get("more_body", False)
            stream.write(self._coded(message.get("body", b""), last=last))
            await stream.drain()
            self._more = not last
            if self._more:
                await self.gateway.limits.turns.mine(self.user)

    # --- the app's side --------------------------------------------------------------------------

    async def _relay(
        self, admitted: Admitted, stream: Splice, response: AppResponse, *, repeatable: bool
    ) -> None:
        self._watch(stream)
        await self._read_head(stream, response, repeatable=repeatable)
        self._status = response.status
        prefix = admitted.path.prefix
        fields = response.to_client(prefix, stream.stripped(prefix))
        await self._send(
            {"type": "http.response.start", "status": response.status, "headers": fields}
        )
        while not response.complete:
            body = response.take()
            if body:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
                await self.gateway.limits.turns.mine(self.user)
            await self._read_more(stream, response)
        self.finished = True
        await self._send({"type": "http.response.body", "body": response.take()})

    async def _read_head(self, stream: Splice, response: AppResponse, *, repeatable: bool) -> None:
        data = await stream.read()
        if not data and stream.uses and repeatable:
            raise _Stale
        while data and not response.started:
            response.feed(data)
            if not response.started:
                data = await stream.read()
        if not data:
            response.feed_eof()

    async def _read_more(self, stream: Splice, response: AppResponse) -> None:
        data = await stream.read()
        if data:
            response.feed(data)
        else:
            response.feed_eof()

    # --- answers of our own ----------------------------------------------------------------------

    async def answer(self, turned: TurnedAway) -> None:
        """Say what is to be said, unless the app's response has begun: then it is cut off."""
        if self._status:
            return
        self.finished = True
        status, fields, body = own_answer(self.gateway, self.scope["headers"], turned)
        self._status = status
        if self._framing.kind != "none" or framed(self.scope["headers"]):
            fields.append((b"connection", b"close"))  # the body may not have been read
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self._send({"type": "http.response.body", "body": body})

    def note(self, seconds: float) -> None:
        """Write the line of the access log."""
        self.note_as(self.scope["method"], self._status, seconds)
