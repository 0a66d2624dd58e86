"""Uvicorn's protocol within our limits: of connections, heads, bodies, and of waiting for them."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .. import pages
from ..answers import own_answer
from ..clearing import clearing_of
from ..core import Gateway
from ..forwarding import BadRequest, Headers, check_target, framing_of, header, serialize_head
from ..limits import Door, Upload
from ..limits.crowd import neighbourhood
from ..limits.host import watch_peer
from ..pages import Page
from ..refusals import TurnedAway
from ..signin import SIGNOUT

#: Bytes that wait for a slow browser before its app is made to wait.
WRITE_LIMIT = 256 * 1024
#: Bytes of a head that comes in pieces, and seconds in which it must be whole. As many may come
#: within a body without being any of it: what is said of chunks, and trailers.
MAX_HEAD = 64 * 1024
HEAD_SECONDS = 30.0
#: Seconds until more is read of a head that comes in many pieces.
PIECES_SECONDS = 0.01


class Limited(HttpToolsProtocol):
    """A browser’s connection whose requests uvicorn reads."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.gateway: Gateway = self.app_state["gateway"]
        self._paused = False  # for our sake; uvicorn keeps its own account
        self._held = b""  # what is not to be read yet
        self._parsing = False  # uvicorn is in the middle of a message
        self._head_bytes = -1  # of a head that is not whole; -1 if there is none
        self._no_body = 0  # bytes that came since the last that were a body's
        self._head_start = bytearray()  # of a head that comes in pieces
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_since = 0.0
        self._upload: Upload | None = None

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

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_wait()
        self._end_head()
        self.body_came()

    @property
    def idle(self) -> float | None:
        """Since when no request is under way, by the loop's clock; ``None`` if one is."""
        answered = self.cycle is None or self.cycle.response_complete
        return self._idle_since if answered else None

    def _with_uvicorn(self) -> bool:
        """Whether uvicorn reads or answers a request, so that what comes is for it to order."""
        return self._parsing or not (self.cycle is None or self.cycle.response_complete)

    def _is_busy(self) -> bool:
        """Whether a request is under way, or on its way in."""
        return self._with_uvicorn()

    # --- heads, and what is around bodies ---------------------------------------------------------

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
        if self.cycle is None or not self.cycle.response_started:
            self._refuse(page)
        else:
            self.transport.abort()

    # --- reading on --------------------------------------------------------------------------------

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

    def _take_held(self) -> bytes:
        held, self._held = self._held, b""
        self.resume()
        return held

    # --- between requests --------------------------------------------------------------------------

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
        if self._is_busy():
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

    def _leave(self) -> None:
        self._end_wait()
        self.parser = None  # type: ignore[assignment]  # the two hold each other
