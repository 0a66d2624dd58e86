"""A WebSocket after both ends have agreed on it: bytes that pass, until either end, or we, end it.

Frames stay as they are, compression and all. Only where those of the app begin and end is noted,
so that a close frame of ours can say why it ends.
"""

import asyncio
import time
from typing import cast

from uvicorn.server import ServerState

from compute_agent.splice import Side, link

from ..core import Gateway
from ..forwarding import Frames, close_frame
from ..gate import Admitted
from ..upstream import Splice

#: Close codes: "service restart", "bad gateway", and as registered by IANA "forbidden".
RESTART, APP_LOST, REVOKED = 1012, 1014, 3003


class Socket:
    """What outlives the handshake: under which grant it is open, and what to note at its end."""

    __slots__ = (
        "_admitted",
        "_app",
        "_began",
        "_browser",
        "_gateway",
        "_path",
        "_stream",
        "traffic",
        "turns",
        "user",
    )

    def __init__(self, gateway: Gateway, admitted: Admitted, stream: Splice, path: bytes) -> None:
        self._gateway = gateway
        self._admitted = admitted
        self._stream = stream
        self.traffic = stream.traffic
        self.turns = gateway.limits.turns
        self.user = admitted.grant.user
        self._path = path
        self._began = time.monotonic()
        self._browser = _Browser(self)
        self._app = _App(self)

    def begin(
        self, browser: asyncio.Transport, state: ServerState, early: tuple[bytes, bytes]
    ) -> None:
        """Take over both transports; ``early``: what had come from the browser and the app."""
        self._gateway.access.hold(self._admitted.question, self._admitted.grant, self)
        self._browser.early, self._app.early = early
        self._browser.open = cast(set[object], state.connections)
        self._browser.open.add(self._browser)  # with ``shutdown``, which is all that is used
        for side, transport in (
            (self._browser, browser),
            (self._app, self._stream.transport),
        ):
            transport.set_protocol(side)
            side.attach(transport)
        link(self._browser, self._app)

    def revoke(self) -> None:
        """End now, because the grant is gone."""
        self.end(REVOKED, "Your access has ended.")
        self._stream.abort()

    def end(self, code: int, reason: str = "") -> None:
        """Tell the browser why it ends, where a frame can be put in, and close."""
        browser = self._browser.transport
        if browser is None or browser.is_closing():
            return
        frames = self._app.frames
        if frames.between and not frames.closed:
            frames.closed = True
            browser.write(close_frame(code, reason))
        browser.close()

    def ended(self) -> None:
        """Both ends are gone, or about to be."""
        admitted, gateway = self._admitted, self._gateway
        gateway.access.release(self)
        gateway.pool.discard((admitted.grant.node, admitted.grant.app_id), self._stream)
        seconds = time.monotonic() - self._began
        who = (admitted.sender.client, admitted.grant.user)
        gateway.note("express", who, ("WEBSOCKET", self._path), 101, seconds)


class _Shared(Side):
    """A side that reads in the turns of its person."""

    __slots__ = ("_bytes", "_socket", "_turns", "_user", "full")

    def __init__(self, socket: Socket) -> None:
        super().__init__()
        self._socket = socket
        self._bytes = socket.traffic
        self._turns = socket.turns
        self._user = socket.user
        self.full = False

    # Both kinds take their bytes by themselves: a call more for each piece would be felt.

    def _wait(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        self._turns.wait(self._user, self._go_on)

    def _go_on(self) -> None:
        other = cast("_Shared | None", self._other)
        if self.transport and not self.transport.is_closing() and not (other and other.full):
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self.full = False
        super().resume_writing()


class _Browser(_Shared):
    __slots__ = ("open",)

    def __init__(self, socket: Socket) -> None:
        super().__init__(socket)
        self.open: set[object] = set()

    def data_received(self, data: bytes) -> None:
        self._bytes.sent += len(data)
        to = self._to
        if to is not None and not to.is_closing():
            to.write(data)
        if not self._turns.take(self._user):
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)
        super().connection_lost(exc)
        self._socket.ended()

    def shutdown(self) -> None:
        """The gateway is going down."""
        self._socket.end(RESTART)


class _App(_Shared):
    __slots__ = ("frames",)

    def __init__(self, socket: Socket) -> None:
        super().__init__(socket)
        self.frames = Frames()

    def data_received(self, data: bytes) -> None:
        self.frames.feed(data)
        self._bytes.received += len(data)
        to = self._to
        if to is not None and not to.is_closing():
            to.write(data)
        if not self._turns.take(self._user):
            self._wait()

    def eof_received(self) -> bool:
        if not self.frames.closed:
            self._socket.end(APP_LOST)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.frames.closed:
            self._socket.end(APP_LOST)
        super().connection_lost(exc)
