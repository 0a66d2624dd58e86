"""A browser's connection: uvicorn's protocol, with the express way before it."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .. import pages
from ..answers import own_answer
from ..clearing import clearing_of
from ..core import Gateway
from ..forwarding import BadRequest, Headers, check_target, framing_of, header, serialize_head
from ..gate import Passed
from ..limits import Door, Upload
from ..limits.crowd import neighbourhood
from ..limits.host import watch_peer
from ..limits.turns import LARGE_HEAD
from ..pages import Page
from ..refusals import Scope, TurnedAway
from ..signin import SIGNOUT
from .exchange import Exchange
from .head import Fields, Head, read_head

#: Bytes that wait for a slow browser before its app is made to wait.
WRITE_LIMIT = 256 * 1024
#: Bytes of a head that comes in pieces, and seconds in which it must be whole. As many may come
#: within a body without being any of it: what is said of chunks, and trailers.
MAX_HEAD = 64 * 1024
HEAD_SECONDS = 30.0
#: Seconds until more is read of a head that comes in many pieces.
PIECES_SECONDS = 0.01


class Connection(HttpToolsProtocol):
    """Gives each request to an ``Exchange`` or, as it came, to uvicorn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gateway: Gateway = self.app_state["gateway"]
        self._express = self.gateway.config.express
        self._exchange: Exchange | None = None
        self._fields: Fields | None = None  # of the last request
        self._passed: Passed | None = None  # by what it passed
        self._paused = False  # for the exchange's sake; uvicorn keeps its own account
        self._held = b""  # what came behind the request under way
        self._parsing = False  # uvicorn is in the middle of a message
        self._head_bytes = -1  # of a head that is not whole; -1 if there is none
        self._no_body = 0  # bytes that came since the last that were a body's
        self._head_start = bytearray()  # of a head that comes in pieces
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._upload: Upload | None = None

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = time.monotonic()  # finer than the loop's, so that the newest is known
        self._wait_for_request()
        transport.set_write_buffer_limits(high=WRITE_LIMIT)
        limits = self.gateway.limits
        watch_peer(transport.get_extra_info("socket"), limits.settings.reader_seconds)
        if self.gateway.door is None:
            self.gateway.door = Door(limits.settings, self.connections, self.gateway.gate.trusts)
        if not self.gateway.door.admits(self.client[0] if self.client else ""):
            limits.refused["connections"] += 1
            self._refuse(pages.too_many("Too many connections are open.", 5))

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.from_client(data)
        elif len(data) <= LARGE_HEAD or self._may_read(data):
            self._read(data)

    def _may_read(self, data: bytes) -> bool:
        """Whether so much may be read now; of heads it waits for a turn of its sender's address.

        Whose request it is will be known only when it has been read.
        """
        if self._head_bytes < 0 and self._with_uvicorn():
            return True  # a body's
        heads = self.gateway.limits.heads
        address = neighbourhood(self.client[0]) if self.client else ""
        if heads.take(address):
            return True
        self.hold(data)
        heads.wait(address, self._read_held)
        return False

    def _read_held(self) -> None:
        if not self.transport.is_closing():
            self._read(self._take_held())

    def _read(self, data: bytes) -> None:
        if not self._express or self._with_uvicorn() or not self._begin(data):
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """Give bytes to uvicorn, which sets no limit to a head's size, nor to its time."""
        if self._head_bytes >= 0:
            self._head_bytes += len(data)
            self._head_start += data[:MAX_HEAD]
            if self._head_bytes > MAX_HEAD:
                domain = self.gateway.gate.domain
                self._refuse(pages.too_large(SIGNOUT), clearing_of(bytes(self._head_start), domain))
                return
        self._no_body += len(data)
        super().data_received(data)
        if self._head_bytes >= 0 and self._head_timer is None:
            self._head_start += data[:MAX_HEAD]
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        elif self._head_bytes >= 0:
            self.transport.pause_reading()
            self.loop.call_later(PIECES_SECONDS, self._read_on)
        elif self._parsing and self._head_bytes < 0:
            self.body_comes()
            if self._no_body > MAX_HEAD:
                self._end(pages.bad_request("There is more around its body than can be read."))

    def _read_on(self) -> None:
        if not (self.flow.read_paused or self._held or self.transport.is_closing()):
            self.transport.resume_reading()

    def _refuse(self, page: Page, more: Headers | None = None) -> None:
        status, fields, body = own_answer(self.gateway, [], TurnedAway(page, fields=more))
        fields.append((b"connection", b"close"))
        self.transport.write(serialize_head(STATUS_LINE[status].rstrip(), fields) + body)
        self.transport.close()

    def _with_uvicorn(self) -> bool:
        """Whether uvicorn reads or answers a request, so that what comes is for it to order."""
        return self._parsing or not (self.cycle is None or self.cycle.response_complete)

    def _begin(self, data: bytes) -> bool:
        """Begin an exchange; returns whether the request may take this way."""
        head = read_head(data, self._fields)
        if head is None:
            return False
        self._fields = head.fields
        passed, sent = self._passed, head.fields.sent
        gate = self.gateway.gate
        if passed is None or not gate.passes_again(passed, head.method, head.path, sent):
            passed = self._passed = gate.remembered(self._scope(head), sent)
            if passed is None:
                return False
        self._exchange = Exchange(self, head, passed, data)
        self._exchange.begin()
        return True

    def _scope(self, head: Head) -> Scope:
        """Return the request as the gate reads it."""
        return {
            "type": "websocket" if head.fields.websocket else "http",
            "method": head.method,
            "raw_path": head.path,
            "query_string": head.query,
            "headers": head.fields.sent.headers,
            "client": self.client,
        }

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._exchange is not None:
            self._exchange.client_full()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._exchange is not None:
            self._exchange.client_ready()

    def connection_lost(self, exc: Exception | None) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_lost()
        super().connection_lost(exc)
        self._end_wait()
        self._end_head()
        self.body_came()

    def shutdown(self) -> None:
        if self._exchange is None:
            super().shutdown()
        else:
            self._exchange.last = True

    # --- where uvicorn's parser is ---------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._parsing = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end_head()
        self._no_body = 0
        if not self.url.startswith(b"/"):
            check_target(self.url, header(self.headers, b"host"))
        # Uvicorn would wait for the body of such a request and then answer nothing, for good.
        upgrade = self.parser.should_upgrade() and self._should_upgrade()
        if upgrade and framing_of(self.headers).fields:
            raise BadRequest("A WebSocket's handshake has no body.")
        super().on_headers_complete()
        if not upgrade:
            # What comes behind a body are trailers. Uvicorn would put them among the header fields,
            # where a proxy in front of us has not seen to them, and where they would be believed.
            self.headers = []

    def on_body(self, body: bytes) -> None:
        self._no_body = 0
        if self._upload is not None:
            self._upload.came += len(body)
        super().on_body(body)

    def _end_head(self) -> None:
        self._head_bytes = -1
        self._head_start.clear()
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_message_complete(self) -> None:
        self._parsing = False
        self.body_came()
        super().on_message_complete()

    # --- bodies that must make progress ----------------------------------------------------------

    def body_comes(self) -> None:
        """A head came whose body, if there is one, has not all come: watch that it does."""
        settings = self.gateway.limits.settings
        if settings.upload_seconds and self._upload is None:
            self._upload = Upload(settings, self.transport.is_reading, self._stood_still)

    def more_came(self, size: int) -> None:
        """So many bytes of it came."""
        if self._upload is not None:
            self._upload.came += size

    def body_came(self) -> None:
        """It is whole, or nobody waits for it any more."""
        if self._upload is not None:
            self._upload.stop()
            self._upload = None

    def _stood_still(self) -> None:
        self.gateway.limits.refused["upload"] += 1
        self._end(pages.too_slow())

    def _end(self, page: Page) -> None:
        """End a request whose body does not come as it must, and say why if that can still be said."""
        if self._exchange is not None:
            self._exchange.turn_away(page)
        elif self.cycle is None or not self.cycle.response_started:
            self._refuse(page)
        else:
            self.transport.abort()

    @property
    def idle(self) -> float | None:
        """Since when no request is under way, by the loop's clock; ``None`` if one is."""
        busy = self._exchange is not None or not (
            self.cycle is None or self.cycle.response_complete
        )
        return None if busy else self._idle_since

    # --- for the exchange ------------------------------------------------------------------------

    def hold(self, data: bytes) -> None:
        """Keep what came behind the request under way, and read no more until that is answered."""
        if data:
            self._held += data
            self.pause()

    def pause(self) -> None:
        """Read no more for now."""
        self._paused = True
        self.transport.pause_reading()

    def resume(self) -> None:
        """Read on, unless something is held."""
        if self._paused and not self._held and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def fall_through(self, data: bytes) -> None:
        """Leave a request to uvicorn of which nothing was answered and no app has seen a byte."""
        self._exchange = None
        self._feed(data + self._take_held())

    def _take_held(self) -> bytes:
        held, self._held = self._held, b""
        self.resume()
        return held

    def answered(self, *, last: bool) -> None:
        """The exchange has ended: go on to the next request, or close."""
        self._exchange = None
        self.server_state.total_requests += 1
        if last or self.transport.is_closing():
            self.transport.close()
            return
        self._rest()
        if self._paused:
            held = self._take_held()
            if held:
                self.data_received(held)

    # One timer for many requests: to set one anew for each would cost more than all else here.

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer, which uvicorn sets anew for each request, as it is."""

    def on_response_complete(self) -> None:
        """Go on to the next request, as uvicorn does, but for its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()

    def _rest(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_request()

    def _wait_for_request(self, seconds: float | None = None) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds or self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._exchange is not None or self._with_uvicorn():
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for_request(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def _end_wait(self) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self._leave()

    def leave(self) -> bytes:
        """Give the transport to another protocol; returns what had come and was not used."""
        self._exchange = None
        self.connections.discard(self)
        self._leave()
        return self._held

    def _leave(self) -> None:
        self._end_wait()
        self.parser = None  # type: ignore[assignment]  # the two hold each other
