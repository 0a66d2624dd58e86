"""Connections from the agent to an app's Unix socket, and the question whether it answers yet.

The socket lies in a directory of the app's user, who could put a link to somebody else's socket
in its place. So what counts is who listens, asked of the connected socket itself.
"""

import asyncio
import socket
import struct
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")
_BUSY_RETRY = 0.005
_PATIENCE = 5.0
_LARGEST = 1 << 20


class WrongPeer(ConnectionError):
    """Somebody else than the app's user listens at the app's socket."""


def peer_uid(sock: socket.socket) -> int:
    """Return the uid at the other end of a Unix socket."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


async def connect(path: Path, uid: int) -> socket.socket:
    """Return a connected, non-blocking socket to the app of user ``uid``.

    Raises ``OSError`` when nobody listens, ``TimeoutError`` when its queue stays full.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(_PATIENCE):
            while not _try_connect(sock, path):  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(_BUSY_RETRY)
        if peer_uid(sock) != uid:
            raise WrongPeer("somebody else listens at the app's socket")
    except BaseException:
        sock.close()
        raise
    return sock


def _try_connect(sock: socket.socket, path: Path) -> bool:
    # A local connection is made at once or, with a full queue, not at all.
    try:
        sock.connect(str(path))
    except BlockingIOError:
        return False
    return True


async def get(path: Path, uid: int, target: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """Return status and body of ``GET target`` at the app of user ``uid``.

    Raises ``OSError`` where it can't be reached, ``ValueError``, ``EOFError`` or
    ``asyncio.LimitOverrunError`` for what is no answer or is longer than a megabyte.
    """
    sock = await connect(path, uid)
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    try:
        # Version 1.0 has no chunks: the body ends with the connection.
        writer.write(_request(target, "HTTP/1.0", headers))
        head = await reader.readuntil(b"\r\n\r\n")
        return int(head.split(b" ")[1]), await _rest(reader)
    except IndexError:
        raise ValueError("no HTTP") from None
    finally:
        writer.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        await reader.readexactly(_LARGEST)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    raise ValueError("too long")


def _request(target: str, version: str, headers: dict[str, str]) -> bytes:
    lines = [f"GET {target} {version}", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def answers(path: Path, uid: int, target: str, headers: dict[str, str]) -> int | None:
    """Return the status of ``GET target`` at the app, or ``None`` while it gives none."""
    try:
        sock = await connect(path, uid)
    except WrongPeer:
        raise
    except OSError:
        return None
    reader, writer = await asyncio.open_unix_connection(sock=sock)
    try:
        writer.write(_request(target, "HTTP/1.1", headers))
        status = (await reader.readline()).split(b" ")
        return int(status[1]) if len(status) > 1 and status[1].isdigit() else None
    except (OSError, ValueError):
        return None
    finally:
        writer.close()
