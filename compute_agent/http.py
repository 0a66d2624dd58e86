"""One HTTP/1.1 connection to the agent, over h11: requests in, answers out, one after another."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import h11
from msgspec import Struct

from compute_agent import proxy_header
from compute_agent.protocol import Refusal, encode
from compute_agent.splice import Side, link

#: Largest body of a command, in bytes.
MAX_BODY = 1024 * 1024
#: Seconds in which a request must arrive whole, and for which an idle connection is kept.
PATIENCE = 60.0
_log = logging.getLogger(__name__)


class Refused(Exception):
    """Answered with ``status`` and a ``Refusal``."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.refusal = Refusal(code=code, detail=detail)


Handler = Callable[["Exchange"], Awaitable[None]]
#: Returns an attached connection to the app of that id; raises ``Refused``.
Dial = Callable[[str], Awaitable[Side]]


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, connection: "Connection", request: h11.Request, body: bytes) -> None:
        self._connection = connection
        self.method = request.method.decode()
        self.path = request.target.decode("latin-1")
        self.body = body
        self.headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}

    async def answer(self, status: int, content: Struct) -> None:
        """Send a whole answer as JSON."""
        data = encode(content) + b"\n"
        headers = [*_json_headers(), ("Content-Length", str(len(data)))]
        await self._connection.send(_response(status, headers))
        await self._connection.send(h11.Data(data=data))
        await self._connection.send(h11.EndOfMessage())

    async def begin_stream(self) -> None:
        """Begin an answer of unknown length: one JSON value a line."""
        headers = [("Content-Type", "application/x-ndjson"), ("Cache-Control", "no-store")]
        await self._connection.send(_response(200, headers))

    async def stream(self, *lines: bytes) -> None:
        """Send lines; returns once the reader has room for more."""
        await self._connection.send(h11.Data(data=b"".join(line + b"\n" for line in lines)))

    async def upgrade(self, protocol: str, headers: list[tuple[str, str]]) -> Side:
        """Answer 101 and return the connection as a side to splice, with what came early."""
        return await self._connection.upgrade(protocol, headers)

    @property
    def can_pass_sockets(self) -> bool:
        """Whether the other end is a process of this host, at a Unix socket."""
        return self._connection.is_local

    def pass_socket(
        self, protocol: str, headers: list[tuple[str, str]], passed: socket.socket
    ) -> None:
        """Answer 101 with a socket beside it, and close; ours of the two is the caller's to close.

        Raises ``ConnectionError`` if it cannot be sent at once.
        """
        self._connection.pass_socket(protocol, headers, passed)


class Connection(asyncio.Protocol):
    """Reads one request at a time and has ``handler`` answer it.

    A connection that begins with a PROXY header is one to the app that is its unique id, made by
    ``dial``.
    """

    def __init__(
        self,
        handler: Handler,
        admit: Callable[[asyncio.Transport], bool],
        dial: Dial | None = None,
    ) -> None:
        self._handler = handler
        self._admit = admit
        self._dial = dial
        self._early: bytes | None = b"" if dial else None
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()
        if not self._admit(self._transport):
            self._transport.abort()
            return
        self._expect()

    def data_received(self, data: bytes) -> None:
        if self._early is not None:
            data = self._early = self._early + data
            if proxy_header.begins(data):
                self._splice(data)
                return
            self._early = None
        self._http.receive_data(data)
        if self._task is None:
            self._advance()

    def eof_received(self) -> bool:
        self._http.receive_data(b"")
        return self._task is not None  # let a running answer end

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._relax()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- requests ---

    def _advance(self) -> None:
        """Take what has arrived until a request is whole."""
        try:
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._request = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                    if len(self._body) > MAX_BODY:
                        self._begin(_refuse(413, "too_large", "The request is too large."))
                        return
                elif isinstance(event, h11.EndOfMessage):
                    self._begin(self._handler)
                    return
                else:
                    if isinstance(event, h11.ConnectionClosed):
                        self._transport.close()
                    return
        except h11.RemoteProtocolError as error:
            self._begin(_refuse(error.error_status_hint, "bad_request", str(error)))

    def _begin(self, handler: Handler) -> None:
        self._relax()
        self._transport.pause_reading()
        request = self._request or h11.Request(method="GET", target="/", headers=[("Host", "")])
        exchange = Exchange(self, request, bytes(self._body))
        self._task = asyncio.get_running_loop().create_task(self._serve(handler, exchange))

    async def _serve(self, handler: Handler, exchange: Exchange) -> None:
        try:
            try:
                await handler(exchange)
            except Refused as refused:
                await exchange.answer(refused.status, refused.refusal)
            except (ConnectionError, h11.LocalProtocolError):
                self._transport.abort()
            except Exception:
                _log.exception("%s %s failed", exchange.method, exchange.path)
                if self._http.our_state is h11.SEND_RESPONSE:
                    await exchange.answer(500, Refusal("internal", "The node made an error."))
        except (ConnectionError, h11.LocalProtocolError):
            self._transport.abort()
        self._finish()

    def _finish(self) -> None:
        """Go on to the next request of this connection, or close it."""
        self._task = None
        self._request = None
        self._body.clear()
        if self._http.our_state is h11.SWITCHED_PROTOCOL or self._transport.is_closing():
            return
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._expect()
        self._advance()

    def _expect(self) -> None:
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(PATIENCE, self._transport.close)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    # --- a connection to an app from its first byte ---

    def _splice(self, data: bytes) -> None:
        try:
            header = proxy_header.read(data)
        except ValueError:
            self._transport.abort()
            return
        if header is not None:
            self._relax()
            self._transport.pause_reading()
            work = self._reach(header.unique_id, data[header.size :])
            self._task = asyncio.get_running_loop().create_task(work)

    async def _reach(self, app_id: str, early: bytes) -> None:
        assert self._dial is not None
        try:
            app = await self._dial(app_id)
        except Refused:
            self._transport.close()  # the other end asks by the long way, and is told why
            return
        if self._transport.is_closing():
            app.close()
            return
        client = Side()
        client.early, client.traffic = early, app.traffic
        self._transport.set_protocol(client)
        client.attach(self._transport)
        link(client, app)

    # --- answers ---

    async def send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if self._transport.is_closing():
            raise ConnectionResetError
        if data:
            self._transport.write(data)
        await self._writable.wait()

    @property
    def is_local(self) -> bool:
        return bool(self._transport.get_extra_info("socket").family == socket.AF_UNIX)

    def pass_socket(
        self, protocol: str, headers: list[tuple[str, str]], passed: socket.socket
    ) -> None:
        if self._transport.is_closing() or self._transport.get_write_buffer_size():
            raise ConnectionResetError
        answer = self._http.send(_switching(protocol, headers)) or b""
        try:
            # The transport's own socket object can send nothing but bytes.
            with socket.socket(fileno=os.dup(self._transport_fd)) as own:
                sent = socket.send_fds(own, [answer], [passed.fileno()])
        except OSError as error:
            raise ConnectionResetError from error
        if sent != len(answer):
            raise ConnectionResetError
        self._transport.close()

    @property
    def _transport_fd(self) -> int:
        return int(self._transport.get_extra_info("socket").fileno())

    async def upgrade(self, protocol: str, headers: list[tuple[str, str]]) -> Side:
        await self.send(_switching(protocol, headers))
        early, _ = self._http.trailing_data
        side = Side()
        side.early = early
        self._transport.set_protocol(side)
        side.attach(self._transport)
        return side


def _switching(protocol: str, headers: list[tuple[str, str]]) -> h11.InformationalResponse:
    named = [("Connection", "Upgrade"), ("Upgrade", protocol), *headers]
    return h11.InformationalResponse(status_code=101, headers=named, reason=b"Switching Protocols")


def _response(status: int, headers: list[tuple[str, str]]) -> h11.Response:
    return h11.Response(status_code=status, headers=headers)


def _json_headers() -> list[tuple[str, str]]:
    return [("Content-Type", "application/json"), ("Cache-Control", "no-store")]


def _refuse(status: int, code: str, detail: str) -> Handler:
    async def handler(exchange: Exchange) -> None:
        raise Refused(status, code, detail)

    return handler
