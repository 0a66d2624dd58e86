"""Asking a node's agent for a connection to an app.

An agent on this host passes us a socket that is connected to the app, and is out of the way from
then on. One on another host turns the connection by which it was asked into one to the app.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple

import msgspec

from compute_agent.protocol import PASSED, UPGRADE, Inject, Refusal

from ..forwarding import Header
from .errors import AppRefused, AppUnreachable
from .splice import Splice

#: Seconds the agent may take.
CONNECT_TIMEOUT = 10.0
_HEAD_LIMIT = 64 * 1024
_READ = 16 * 1024
_Read = Callable[[], Awaitable[bytes]]


class _Answer(NamedTuple):
    """``rest``: what came behind the head, or of a refusal its body."""

    status: int
    fields: dict[bytes, bytes]
    rest: bytes


async def by_socket(path: str, app_id: str) -> Splice:
    """Return a connection to the app from the agent that listens at the Unix socket ``path``.

    Raises ``OSError`` if the agent is not there, ``AppRefused`` if it says no, and
    ``AppUnreachable`` if it does not keep to the wire.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_TIMEOUT):
        with _Asking() as agent:
            await loop.sock_connect(agent.socket, path)
            await loop.sock_sendall(agent.socket, _request(app_id, f"{PASSED}, {UPGRADE}"))
            answer = _accepted(await _read_answer(agent.read))
            passed = answer.fields.get(b"upgrade", b"").lower() == PASSED.encode()
            if passed and agent.passed is None:
                raise AppUnreachable("The node did not answer as a node does.")
            app = agent.take(passed=passed)
        try:
            _, stream = await loop.create_unix_connection(Splice, sock=app)
        except BaseException:
            app.close()
            raise
    stream.passed = passed
    return _begun(stream, answer)


async def by_tls(host: str, port: int, context: ssl.SSLContext | None, app_id: str) -> Splice:
    """Return a connection to the app by way of the agent at ``host``; raises as ``by_socket``."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_TIMEOUT):
        _, stream = await loop.create_connection(Splice, host, port, ssl=context)
        try:
            stream.write(_request(app_id, UPGRADE))
            answer = _accepted(await _read_answer(stream.read))
        except BaseException:
            stream.abort()
            raise
    return _begun(stream, answer)


class _Asking:
    """A connection to an agent of this host, and the socket that it passed."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.passed: socket.socket | None = None

    def __enter__(self) -> "_Asking":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        if self.passed is not None:
            self.passed.close()

    def take(self, *, passed: bool) -> socket.socket:
        """Return the connection to the app, which from here on is the caller's to close."""
        if passed and self.passed is not None:
            taken, self.passed = self.passed, None
            return taken
        return socket.socket(fileno=self.socket.detach())

    async def read(self) -> bytes:
        """Return what has arrived, waiting for it; keeps a socket that came along."""
        while True:
            with contextlib.suppress(BlockingIOError):
                data, descriptors, _, _ = socket.recv_fds(self.socket, _READ, 1)
                for descriptor in descriptors:
                    os.set_inheritable(descriptor, False)  # Python 3.11 takes no flags for it
                    self._keep(socket.socket(fileno=descriptor))
                return data
            await _readable(self.socket)

    def _keep(self, passed: socket.socket) -> None:
        if self.passed is not None:
            self.passed.close()
        self.passed = passed
        passed.setblocking(False)


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()

    def arrive() -> None:
        if not arrived.done():
            arrived.set_result(None)

    loop.add_reader(sock, arrive)
    try:
        await arrived
    finally:
        loop.remove_reader(sock)


def _request(app_id: str, upgrade: str) -> bytes:
    return (
        f"POST /v1/apps/{app_id}/connect HTTP/1.1\r\nHost: node\r\nConnection: Upgrade\r\n"
        f"Upgrade: {upgrade}\r\nContent-Length: 0\r\n\r\n"
    ).encode("ascii")


async def _read_answer(read: _Read) -> _Answer:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await read()
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
    if status != 101:
        while len(rest) < min(length, _HEAD_LIMIT) and (more := await read()):
            rest += more
    return _Answer(status, fields, rest)


def _accepted(answer: _Answer) -> _Answer:
    if answer.status == 101:
        return answer
    try:
        refusal = msgspec.json.decode(answer.rest, type=Refusal)
    except (msgspec.DecodeError, ValueError):
        refusal = Refusal("refused", "The node refused the connection.")
    raise AppRefused(answer.status, refusal)


def _begun(stream: Splice, answer: _Answer) -> Splice:
    """Return the connection with what the agent said of it."""
    stream.unread(answer.rest)
    try:
        stream.inject, stream.strip = _injected(answer.fields.get(b"aen-inject", b"{}"))
    except (msgspec.DecodeError, ValueError):
        stream.abort()
        raise AppUnreachable("The node did not answer as a node does.") from None
    return stream


@lru_cache(256)  # all connections of an app have one and the same, which is known by that
def _injected(text: bytes) -> tuple[tuple[Header, ...], bool]:
    inject = msgspec.json.decode(text, type=Inject)
    fields = tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in inject.headers.items()
    )
    return fields, inject.strip
