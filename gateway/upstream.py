"""A thin HTTP/1.1 client for apps, over connections that the node's agent splices to them.

``Splice`` is the connection: bytes in and out, with back-pressure both ways. ``AppResponse``
parses one response from it. ``Pool`` keeps the idle ones of each app.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

import httptools
import msgspec

from compute_agent.protocol import UPGRADE, Inject, Refusal

from .forwarding import Headers

#: Bytes read ahead of a slow browser before the app is made to wait.
HIGH_WATER = 256 * 1024
#: Seconds the agent may take to splice a connection.
CONNECT_TIMEOUT = 10.0
#: Idle connections kept for an app, and for how many seconds.
MAX_IDLE = 128
IDLE_SECONDS = 30.0
#: Connections open to one app at a time, streams and WebSockets included.
MAX_OPEN = 1024
# An app may close an idle connection at any moment; what can't be repeated takes a fresh one.
FRESH_SECONDS = 0.5
_HEAD_LIMIT = 64 * 1024


class AppUnreachable(Exception):
    """The app or its node did not answer; ``str()`` is a sentence for people."""


class AppRefused(AppUnreachable):
    """The agent would not connect: the app is not running there."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.detail or "The node refused the connection.")
        self.status = status
        self.code = refusal.code


class Splice(asyncio.Protocol):
    """One connection through the agent to an app."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._read_paused = False
        self._write_paused = False
        self.ended = False
        self.inject: Mapping[bytes, bytes] = {}
        self.uses = 0
        self.idle_since = 0.0

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()  # type: ignore[union-attr]
        self._wake()

    def eof_received(self) -> bool:
        self.ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._wake()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        writers, self._writers = self._writers, []
        for waiter in writers:
            if not waiter.done():
                waiter.set_result(None)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # --- for its user ----------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Return what has arrived, waiting for the first byte; ``b""`` at the end."""
        if not self._chunks:
            if self.ended:
                return b""
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._size = 0
        if self._read_paused and not self.ended:
            self._read_paused = False
            self._transport.resume_reading()  # type: ignore[union-attr]
        return data

    def unread(self, data: bytes) -> None:
        """Put bytes back in front."""
        if data:
            self._chunks.insert(0, data)
            self._size += len(data)

    def write(self, data: bytes) -> None:
        if not self.ended:
            self._transport.write(data)  # type: ignore[union-attr]

    async def drain(self) -> None:
        """Wait until the app has taken most of what was written."""
        if self._write_paused and not self.ended:
            waiter = self._loop.create_future()
            self._writers.append(waiter)
            await waiter

    def close(self) -> None:
        """End the connection after what was written has gone out."""
        self.ended = True
        if self._transport is not None:
            self._transport.close()
        self._wake()

    def abort(self) -> None:
        """End the connection now; a waiting ``read`` returns."""
        self.ended = True
        self._chunks.clear()
        if self._transport is not None:
            self._transport.abort()
        self._wake()
        self.resume_writing()

    @property
    def reusable(self) -> bool:
        """Whether nothing came on it since the last response: an app has nothing to say then."""
        return not self.ended and not self._chunks


async def splice(connect: Callable[[], Awaitable[Splice]], app_id: str) -> Splice:
    """Return a connection to the app, made by the agent that ``connect`` reaches.

    Raises ``OSError`` if the agent is not there, ``AppRefused`` if it says no, and
    ``AppUnreachable`` if it does not keep to the wire.
    """
    async with asyncio.timeout(CONNECT_TIMEOUT):
        stream = await connect()
        try:
            stream.write(_connect_request(app_id))
            status, headers, body = await _read_answer(stream)
        except BaseException:
            stream.abort()
            raise
    if status != 101:
        stream.abort()
        raise AppRefused(status, _refusal(body))
    stream.inject = _injected(headers)
    return stream


def _connect_request(app_id: str) -> bytes:
    return (
        f"POST /v1/apps/{app_id}/connect HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n"
        f"Upgrade: {UPGRADE}\r\nContent-Length: 0\r\n\r\n"
    ).encode("ascii")


async def _read_answer(stream: Splice) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return status, header fields and, unless the stream was spliced, the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.read()
        data += more
        if not more:
            # The agent closed before it answered: it is going down, and nothing was sent yet.
            raise ConnectionResetError("The node closed the connection.")
        if len(data) > _HEAD_LIMIT:
            raise AppUnreachable("The node did not answer as a node does.")
    head, _, rest = data.partition(b"\r\n\r\n")
    try:
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        length = int(fields.get(b"content-length", b"0"))
    except (ValueError, IndexError):
        raise AppUnreachable("The node did not answer as a node does.") from None
    if status == 101:
        stream.unread(rest)
        return status, fields, b""
    while len(rest) < min(length, _HEAD_LIMIT) and (more := await stream.read()):
        rest += more
    return status, fields, rest


def _refusal(body: bytes) -> Refusal:
    try:
        return msgspec.json.decode(body, type=Refusal)
    except (msgspec.DecodeError, ValueError):
        return Refusal("refused", "The node refused the connection.")


def _injected(fields: dict[bytes, bytes]) -> dict[bytes, bytes]:
    try:
        inject = msgspec.json.decode(fields.get(b"aen-inject", b"{}"), type=Inject)
    except (msgspec.DecodeError, ValueError):
        raise AppUnreachable("The node did not answer as a node does.") from None
    return {
        name.lower().encode("latin-1"): value.encode("latin-1")
        for name, value in inject.headers.items()
    }


class AppResponse:
    """Parser of one response; feed it what the app sends until ``complete``."""

    def __init__(self, method: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_only = method == b"HEAD"
        self._delimited = False
        self._extra = False
        self.status = 0
        self.headers: Headers = []
        self.chunks: list[bytes] = []
        self.started = False
        self.complete = False
        self._keep_alive = False

    def feed(self, data: bytes) -> None:
        """Take bytes from the app; raises ``AppUnreachable`` if they are no HTTP response."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self.complete:
                raise AppUnreachable("The app did not answer in HTTP.") from None
            self._extra = True

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the same connection."""
        return self.complete and self._keep_alive and not self._extra

    def feed_eof(self) -> None:
        """Take the end of the connection, which also ends a body of unknown length."""
        if not self.started:
            raise AppUnreachable("The app ended the connection without an answer.")
        if self._delimited and not self.complete:
            raise AppUnreachable("The app ended the connection in the middle of its answer.")
        self.complete = True
        self._keep_alive = False

    def take(self) -> bytes:
        """Return the body bytes parsed since the last call."""
        if not self.chunks:
            return b""
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        return body

    # --- httptools callbacks ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self._extra = True  # a second response that nobody asked for
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.complete or 100 <= status < 200:
            return  # interim answers are for us alone
        self.status = status
        self.started = True
        self._keep_alive = self._parser.should_keep_alive()
        self._delimited = status in (204, 304) or any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self.headers
        )
        if self._head_only:
            self.complete = True

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self._extra = True
        else:
            self.chunks.append(body)

    def on_message_complete(self) -> None:
        if self.started:
            self.complete = True


class Pool:
    """Connections to apps by ``(node, app_id)``: idle ones to use again, open ones counted."""

    def __init__(self) -> None:
        self._idle: dict[tuple[str, str], deque[Splice]] = {}
        self._open: dict[tuple[str, str], int] = {}

    def take(self, key: tuple[str, str], fresh: bool = False) -> Splice | None:
        """Return the idle connection that was used last, if there is one that still stands.

        ``fresh``: only one that was used a moment ago.
        """
        idle = self._idle.get(key)
        oldest = time.monotonic() - (FRESH_SECONDS if fresh else IDLE_SECONDS)
        while idle:
            stream = idle.pop()
            if stream.reusable and stream.idle_since >= oldest:
                return stream
            self.discard(key, stream)
        return None

    async def open(self, key: tuple[str, str], connect: Callable[[], Awaitable[Splice]]) -> Splice:
        """Return a new connection; see ``splice`` for what it raises."""
        if self._open.get(key, 0) >= MAX_OPEN:
            raise AppUnreachable("Too many connections to this app are open; close some tabs.")
        self._open[key] = self._open.get(key, 0) + 1
        try:
            return await splice(connect, key[1])
        except BaseException:
            self._forget(key)
            raise

    def give_back(self, key: tuple[str, str], stream: Splice) -> None:
        """Keep a connection whose last response was read to its end."""
        idle = self._idle.setdefault(key, deque())
        if not stream.reusable or len(idle) >= MAX_IDLE:
            self.discard(key, stream)
            return
        stream.uses += 1
        stream.idle_since = time.monotonic()
        idle.append(stream)

    def discard(self, key: tuple[str, str], stream: Splice, *, gently: bool = False) -> None:
        """End a connection that ``open`` or ``take`` returned."""
        if gently:
            stream.close()
        else:
            stream.abort()
        self._forget(key)

    def _forget(self, key: tuple[str, str]) -> None:
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    def sweep(self, max_idle: float = IDLE_SECONDS) -> None:
        """End what has been idle for longer than ``max_idle`` seconds."""
        oldest = time.monotonic() - max_idle
        for key, idle in list(self._idle.items()):
            for stream in [one for one in idle if one.ended or one.idle_since < oldest]:
                idle.remove(stream)
                self.discard(key, stream)
            if not idle:
                del self._idle[key]

    def end(self) -> None:
        """End all idle connections."""
        self.sweep(max_idle=-1.0)
