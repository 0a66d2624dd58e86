"""The load of the gateway benchmark: many connections of one process, each doing one thing."""

import asyncio
import contextlib
import time

BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    "Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Dest: empty\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCache-Control: no-cache\r\n"
)
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
#: A masked binary frame of 32 bytes; masked with zeros, which changes nothing.
MESSAGE = b"\x82\xa0\0\0\0\0" + b"m" * 32
ECHO = 34


class Asker(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again; all answers have the same length."""

    def __init__(self, request, tally, again=None, expected=0):
        self.request, self.tally, self.again = request, tally, again or request
        self.expected, self.got, self.head = 0, 0, b""
        self.size = expected

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        if not self.expected:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            self.begin()
            return
        self.got += len(data)
        self.step()

    def is_answered(self, status):
        """Return whether the answer is as it should be; if not, the tally says so to who waits."""
        if not self.head.startswith(b"HTTP/1.1 " + status):
            self.tally[1:] = [self.head[:300]]
            self.transport.abort()
        return len(self.tally) == 1

    def begin(self):
        if not self.is_answered(b"200"):
            return
        self.expected = self.head.index(b"\r\n\r\n") + 4 + 1024
        self.got = len(self.head)
        self.step()

    def step(self):
        while self.got >= self.expected:
            self.got -= self.expected
            self.tally[0] += 1
            self.transport.write(self.again)


class Echoer(Asker):
    """Opens a WebSocket, sends a message, waits for its echo, sends it again."""

    def begin(self):
        if not self.is_answered(b"101"):
            return
        self.expected, self.got = ECHO, 0
        self.again = MESSAGE
        self.transport.write(MESSAGE)


class Idler(Asker):
    """Opens a WebSocket, and leaves it at that."""

    def begin(self):
        if not self.is_answered(b"101"):
            return
        self.expected = 1
        self.tally[0] += 1


async def open_all(kind, port, requests, count):
    """Open ``count`` connections, some at a time; return their transports and their tally.

    ``requests``: what they begin with, in turn.
    """
    loop, tally, transports = asyncio.get_running_loop(), [0], []
    for start in range(0, count, 100):
        made = (
            loop.create_connection(
                lambda n=number: kind(requests[n % len(requests)], tally), "127.0.0.1", port
            )
            for number in range(start, min(count, start + 100))
        )
        transports += [transport for transport, _ in await asyncio.gather(*made)]
    return transports, tally


async def reach(tally, count, seconds=60):
    async with asyncio.timeout(seconds):
        while tally[0] < count:
            await asyncio.sleep(0.01)
            if len(tally) > 1:
                raise RuntimeError(f"It was answered {tally[1]!r}.")


async def rate(kind, port, requests, count, seconds, cpu=lambda: 0.0):
    """Return answers a second to all connections together, and seconds of ``cpu`` for each."""
    transports, tally = await open_all(kind, port, requests, count)
    await reach(tally, 5 * count)  # warm up; not counted
    before, spent, began = tally[0], cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    took, spent, done = time.perf_counter() - began, cpu() - spent, tally[0] - before
    for transport in transports:
        transport.abort()
    return done / took, spent / done


class Bulk(asyncio.Protocol):
    """Sends a request, and a body if there is one; is done when the answer has all come."""

    def __init__(self, request, upload, expected):
        self.request, self.upload, self.left = request, upload, expected
        self.writable, self.head, self.done = True, b"", asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)
        self.pour()

    def pour(self):
        piece = b"x" * 262_144
        while self.upload and self.writable:
            self.transport.write(piece[: self.upload])
            self.upload -= len(piece[: self.upload])

    def pause_writing(self):
        self.writable = False

    def resume_writing(self):
        self.writable = True
        self.pour()

    def data_received(self, data):
        if b"\r\n\r\n" not in self.head:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            data = self.head.partition(b"\r\n\r\n")[2]
        self.left -= len(data)
        if self.left <= 0 and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc):
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("closed before the end"))


class Slow(asyncio.Protocol):
    """Asks, or sends a body, and reads nothing until it is told to end."""

    def __init__(self, request, upload):
        self.request, self.upload = request, upload

    def connection_made(self, transport):
        self.transport = transport
        transport.pause_reading()
        transport.write(self.request)
        self.resume_writing()

    def resume_writing(self):
        self.writable = True
        while self.upload and self.writable:
            self.transport.write(_PIECE[: self.upload])
            self.upload -= len(_PIECE[: self.upload])

    def pause_writing(self):
        self.writable = False


_PIECE = b"x" * 262_144


async def held_up(port, request, upload, seconds):
    """Keep a transfer waiting for ``seconds``: nobody reads what the app, or this end, sends."""
    loop = asyncio.get_running_loop()
    made = await loop.create_connection(lambda: Slow(request, upload), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    made[0].abort()


async def bulk(port, request, upload, expected):
    """Return the seconds it took to send ``upload`` bytes and take an answer of ``expected``."""
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(
        lambda: Bulk(request, upload, expected), "127.0.0.1", port
    )
    async with asyncio.timeout(120):
        await protocol.done
    with contextlib.suppress(OSError):
        transport.abort()
    return time.perf_counter() - began
