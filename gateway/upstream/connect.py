"""Asking a node's agent for a connection to an app."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from compute_agent.protocol import UPGRADE, Inject, Refusal

from ..forwarding import Header
from .errors import AppRefused, AppUnreachable
from .splice import Splice

#: Seconds the agent may take to splice a connection.
CONNECT_TIMEOUT = 10.0
_HEAD_LIMIT = 64 * 1024


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
    stream.inject, stream.strip = _injected(headers)
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


def _injected(fields: dict[bytes, bytes]) -> tuple[tuple[Header, ...], bool]:
    try:
        inject = msgspec.json.decode(fields.get(b"aen-inject", b"{}"), type=Inject)
    except (msgspec.DecodeError, ValueError):
        raise AppUnreachable("The node did not answer as a node does.") from None
    named = tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in inject.headers.items()
    )
    return named, inject.strip
