"""Wire 2 from the node's side."""

import asyncio
import contextlib
import os
import socket
import ssl
from pathlib import Path

import msgspec

from compute_agent.protocol import PASSED, UPGRADE, AppOffer, Explanation, NodeStatus, Snapshot
from compute_agent.protocol import encode as encode_report
from compute_agent.proxy_header import SIGNATURE, read


class FakeNode:
    """Wire 2's node side on a Unix socket, splicing to apps on Unix sockets."""

    def __init__(self, path: Path, tls: ssl.SSLContext | None = None) -> None:
        self.path = path
        self.tls = tls
        self.port = 0
        self.apps: dict[str, Path] = {}
        self.commands: list[dict] = []
        self.refuse_commands = False
        self.streams: set[asyncio.Queue] = set()
        self.spliced = 0
        #: Whether it passes sockets of the apps, as an agent on the gateway's own host does.
        self.passes = tls is None
        self.passed = 0
        self.used: list[str] = []
        self.extra_lines: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self.stripped: set[str] = set()
        self.injected = {"Authorization": "token of-the-app"}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        if self.tls is None:
            self._server = await asyncio.start_unix_server(self._serve, self.path)
            return
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self.tls, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.path.unlink(missing_ok=True)
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader, writer) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head == SIGNATURE[:4]:
                    await self._by_proxy_header(head, reader, writer)
                    return
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                length = _content_length(head)
                body = await reader.readexactly(length)
                wanted = PASSED.encode() in head and self.passes
                if not await self._answer(method, target, (body, wanted), reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the streams module reports a cancelled handler as an error
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _by_proxy_header(self, data, reader, writer) -> None:
        while (header := read(data)) is None:
            data += await reader.readexactly(1)
        path = self.apps.get(header.unique_id)
        if path is not None:
            await self._join(path, b"", reader, writer)

    async def _answer(self, method, target, sent, reader, writer) -> bool:
        body, pass_socket = sent
        if target == "/v1/commands":
            if self.refuse_commands:
                _write(writer, 409, {"code": "no", "detail": "The node will not."})
            else:
                self.commands.append(msgspec.json.decode(body))
                _write(writer, 202, {})
                self._explain(self.commands[-1])
            return True
        if target == "/v1/used":
            self.used += msgspec.json.decode(body)["app_ids"]
            _write(writer, 202, {})
            return True
        if target == "/v1/health":
            _write(writer, 200, {})
            return True
        if target == "/v1/events":
            await self._events(writer)
            return False
        app_id = target.split("/")[3]
        path = self.apps.get(app_id)
        if path is None:
            _write(
                writer, 404, {"code": "unknown_app", "detail": "This node does not know the app."}
            )
            return True
        strip = app_id in self.stripped
        if pass_socket:
            self._pass(path, strip, writer)
        else:
            await self._splice(path, strip, reader, writer)
        return False

    def _pass(self, path, strip, writer) -> None:
        self.passed += 1
        answer = self._switching(PASSED, strip)
        descriptor = os.dup(writer.get_extra_info("socket").fileno())
        with socket.socket(socket.AF_UNIX) as app, socket.socket(fileno=descriptor) as own:
            app.connect(str(path))
            socket.send_fds(own, [answer], [app.fileno()])

    def _switching(self, protocol, strip) -> bytes:
        inject = msgspec.json.encode({"headers": self.injected, "strip": strip}).decode()
        return (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
            f"Upgrade: {protocol}\r\nAEN-Inject: {inject}\r\n\r\n"
        ).encode()

    def _explain(self, command) -> None:
        """Answer a question as a node on which there is no such project."""
        if command["type"] == "explain":
            cause = "The project has no directory on this node yet."
            answer = Explanation(command["question_id"], "missing", "---", cause=cause)
            for queue in self.streams:
                queue.put_nowait(encode_report(answer))

    async def _splice(self, path, strip, reader, writer) -> None:
        await self._join(path, self._switching(UPGRADE, strip), reader, writer)

    async def _join(self, path, first, reader, writer) -> None:
        self.spliced += 1
        up_reader, up_writer = await asyncio.open_unix_connection(path)
        writer.write(first)
        try:
            done = [_copy(reader, up_writer), _copy(up_reader, writer)]
            await asyncio.wait(
                [asyncio.create_task(one) for one in done], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            up_writer.close()

    async def _events(self, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n")
        offers = (AppOffer("lab", "JupyterLab", "lab"),)
        queue: asyncio.Queue = asyncio.Queue()
        self.streams.add(queue)
        try:
            for report in (
                NodeStatus("single", "me", "here", "0", offers),
                Snapshot(tuple(self.apps)),
            ):
                writer.write(encode_report(report) + b"\n")
            for line in self.extra_lines:
                writer.write(line + b"\n")
            while True:
                writer.write(await queue.get() + b"\n")
                await writer.drain()
        finally:
            self.streams.discard(queue)


async def _copy(reader, writer) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _write(writer, status, content) -> None:
    body = msgspec.json.encode(content)
    writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
