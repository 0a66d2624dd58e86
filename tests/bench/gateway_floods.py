"""Kinds of flood for ``gateway_flood.py``: what one person, or nobody known, does without end.

``python gateway_floods.py KIND PORT PREFIX SESSION`` goes on until it is killed.
"""

import asyncio
import itertools
import sys

import uvloop
from gateway_load import BROWSER, HANDSHAKE, open_all

PIECE = b"x" * 262_144
NUMBERS = itertools.count()


class Kind(asyncio.Protocol):
    """One connection of a flood; ``who``: port, path of the app and session of its person."""

    count = 256

    def __init__(self, who, tally):
        self.port, self.prefix, self.session = who

    def connection_made(self, transport):
        self.transport = transport
        self.begin()

    def begin(self):
        self.transport.write(self.request())

    def data_received(self, data):
        self.begin()

    def connection_lost(self, exc):
        self.task = asyncio.ensure_future(self.again())

    async def again(self):
        """Connect anew, as the gateway has closed the connection."""
        loop, kind = asyncio.get_running_loop(), type(self)
        who = self.port, self.prefix, self.session
        try:
            await loop.create_connection(lambda: kind(who, []), "127.0.0.1", int(self.port))
        except OSError:
            await asyncio.sleep(0.1)
            await self.again()

    def request(self, what="", more=BROWSER, method="GET", session=None, prefix=None):
        host = f"127.0.0.1:{self.port}"
        cookie = f"Cookie: aen_gateway={self.session if session is None else session}\r\n"
        first = f"{method} {prefix or self.prefix}{what} HTTP/1.1\r\nHost: {host}\r\n"
        return f"{first}{cookie}Origin: http://{host}\r\n{more}\r\n".encode()


class Requests(Kind):
    """Asks as fast as it is answered."""


class Paths(Kind):
    """Asks for another app each time, of which there is none."""

    def begin(self):
        self.transport.write(self.request(prefix=f"/p/a{next(NUMBERS)}/lab/"))


class Guesses(Kind):
    """Asks with another session each time, which nobody has."""

    def begin(self):
        self.transport.write(self.request(session=f"guess-{next(NUMBERS)}"))


class Tokens(Kind):
    """Asks with another token each time, which nobody has."""

    def begin(self):
        more = f"Authorization: Bearer guess-{next(NUMBERS)}\r\n"
        self.transport.write(self.request(more=more, session=""))


class SignIns(Kind):
    """Opens pages without being signed in."""

    def begin(self):
        more = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
        self.transport.write(self.request(more=more, session=""))


class Cookies(Kind):
    """Signed in, with cookies that are others each time: nothing of them can be remembered."""

    def begin(self):
        more = f"Cookie: a={next(NUMBERS)}; b={'c' * 3000}\r\n"
        self.transport.write(self.request(more=more))


class Heads(Kind):
    """Asks with as large a head as may pass."""

    def begin(self):
        self.transport.write(self.request(more=f"X-{next(NUMBERS)}: {'x' * 47_000}\r\n"))


class LargeHeads(Kind):
    """Asks with a head of 64 KB, which is refused."""

    def begin(self):
        fields = "".join(f"X-{number}: {'x' * 90}\r\n" for number in range(620))
        self.transport.write(self.request(more=fields))


class Drips(Kind):
    """Sends heads in single bytes, one each millisecond."""

    def begin(self):
        self.bytes = iter(self.request(more=f"X: {'x' * 20_000}\r\n"))
        self.drip()

    def drip(self):
        byte = next(self.bytes, None)
        if byte is not None and not self.transport.is_closing():
            self.transport.write(bytes((byte,)))
            asyncio.get_running_loop().call_later(0.001, self.drip)


class Connects(Kind):
    """Connects, asks once, closes."""

    count = 64

    def data_received(self, data):
        self.transport.abort()


class Sockets(Connects):
    """Opens WebSockets and drops them."""

    def begin(self):
        self.transport.write(self.request("socket", HANDSHAKE))


class Messages(Kind):
    """Sends messages over WebSockets as fast as they come back."""

    def begin(self):
        self.transport.write(self.request("socket", HANDSHAKE))

    def data_received(self, data):
        self.transport.write((b"\x82\xa0\0\0\0\0" + b"m" * 32) * 8)


class Uploads(Kind):
    """Sends bodies as fast as they are taken."""

    count, what = 64, ""

    def begin(self):
        self.left = 1_000_000_000
        more = f"Content-Length: {self.left}\r\n"
        self.transport.write(self.request(self.what, more, "POST"))
        self.writable = True
        self.resume_writing()

    def pause_writing(self):
        self.writable = False

    def resume_writing(self):
        self.writable = True
        while self.left and self.writable and not self.transport.is_closing():
            piece = PIECE[: self.left]
            self.left -= len(piece)
            self.transport.write(piece)


class StalledUploads(Uploads):
    """Sends bodies to an app that takes nothing."""

    count, what = 256, "stalled"

    def data_received(self, data):
        pass


class Downloads(Kind):
    """Takes large answers as fast as they come."""

    count = 64

    def begin(self):
        self.transport.write(self.request("bulk?1000000000000"))

    def data_received(self, data):
        pass


class UnreadDownloads(Downloads):
    """Asks for large answers and takes nothing of them."""

    count = 256

    def begin(self):
        super().begin()
        self.transport.pause_reading()


KINDS = {
    kind.__name__: kind
    for kind in (
        Requests, Cookies, Heads, LargeHeads, Drips, Connects, Sockets, Messages, Uploads,
        StalledUploads, Downloads, UnreadDownloads, Paths, Guesses, Tokens, SignIns,
    )
}  # fmt: skip


async def main(kind, *who):
    found = KINDS[kind]
    await open_all(found, who[0], [who], found.count)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
