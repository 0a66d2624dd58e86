"""A browser's connection: uvicorn's protocol, with the express way before it."""

from typing import Any

from ..gate import Passed
from ..limits.turns import LARGE_HEAD
from ..pages import Page
from ..refusals import Scope
from .exchange import Exchange
from .head import Fields, Head, read_head
from .limited import Limited


class Connection(Limited):
    """Gives each request to an ``Exchange`` or, as it came, to uvicorn."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._express = self.gateway.config.express
        self._exchange: Exchange | None = None
        self._fields: Fields | None = None  # of the last request
        self._passed: Passed | None = None  # by what it passed

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.from_client(data)
        elif len(data) <= LARGE_HEAD or self._may_read(data):
            self._read(data)

    def _read(self, data: bytes) -> None:
        if not self._express or self._with_uvicorn() or not self._begin(data):
            self._feed(data)

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

    def shutdown(self) -> None:
        if self._exchange is None:
            super().shutdown()
        else:
            self._exchange.last = True

    @property
    def idle(self) -> float | None:
        """Since when no request is under way, by the loop's clock; ``None`` if one is."""
        return None if self._exchange is not None else super().idle

    def _is_busy(self) -> bool:
        return self._exchange is not None or super()._is_busy()

    def _end(self, page: Page) -> None:
        if self._exchange is not None:
            self._exchange.turn_away(page)
        else:
            super()._end(page)

    # --- for the exchange ------------------------------------------------------------------------

    def fall_through(self, data: bytes) -> None:
        """Leave a request to uvicorn of which nothing was answered and no app has seen a byte."""
        self._exchange = None
        self._feed(data + self._take_held())

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

    def leave(self) -> bytes:
        """Give the transport to another protocol; returns what had come and was not used."""
        self._exchange = None
        self.connections.discard(self)
        self._leave()
        return self._held
