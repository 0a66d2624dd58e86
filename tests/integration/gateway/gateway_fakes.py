"""A site without server and node: just enough of wire 1 and wire 2 around a real gateway process.

Server, node and apps run on an event loop of their own in a thread; the gateway is a process as
on a site. Tests speak to it as browsers and programs do.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, parse_qsl

import httpx
import msgspec
import uvicorn

from compute_agent.protocol import AppOffer, Explanation, NodeStatus, Snapshot
from compute_agent.protocol import encode as encode_report
from gateway.protocol import (
    AccessAnswer,
    Grant,
    NodeAddress,
    Nodes,
    Revoke,
    ToNode,
    Welcome,
    decode_from_gateway,
    decode_question,
    encode,
)

GATEWAY_ID = "0" * 31 + "1"
NODE_ID = "0" * 31 + "2"
ROOT = Path(__file__).parents[3]


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> object:
    """Return the first true value of ``condition``; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come to pass in time")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


class LoopThread:
    """An event loop in a thread, on which the fakes live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Served:
    """An ASGI application under uvicorn on the fakes' loop."""

    def __init__(self, app, **where) -> None:
        self._config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="websockets-sansio", ws_max_size=2**30,
            timeout_graceful_shutdown=0, timeout_keep_alive=30, **where,
        )  # fmt: skip
        self._server = _Uvicorn(self._config)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class FakeServer:
    """Wire 1's server side, and a sign-in page that lets everyone in."""

    def __init__(self, credential: str) -> None:
        self.credential = credential
        self.sessions: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.apps: dict[tuple[str, str, str], str] = {}
        self.owners: dict[tuple[str, str, str], str] = {}
        self.statuses: dict[tuple[str, str, str], int] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[object] = []
        self.received: list[object] = []
        self.away = False
        self.ttl = 30.0
        self.nodes: tuple[NodeAddress, ...] = ()
        self.wires: list[asyncio.Queue] = []
        self.answering: asyncio.Event | None = None

    async def __call__(self, scope, receive, send) -> None:
        if self.away:
            await _reply(send, 503, {"detail": "away"})
            return
        headers = dict(scope["headers"])
        path = scope["path"]
        if path == "/oauth/token":
            await self._token(headers, receive, send)
        elif headers.get(b"authorization") != f"Bearer {self.credential}".encode():
            await (_reply(send, 401, {}) if scope["type"] == "http" else _reject(send))
        elif path == "/gateway/wire":
            await self._wire(receive, send)
        elif path == "/gateway/access":
            await self._access(receive, send)

    async def _access(self, receive, send) -> None:
        question = decode_question(await _body(receive))
        self.asked.append(question)
        answer = self._answer(question)
        if self.answering is not None:
            await self.answering.wait()
        await _reply(send, 200, answer)

    def _answer(self, question) -> AccessAnswer:
        user, session, token = None, None, None
        if question.bearer is not None:
            user, token = self.tokens.get(question.bearer), question.bearer
        else:
            session = next((one for one in question.sessions if one in self.sessions), None)
            user = self.sessions.get(session)
        if user is None:
            return AccessAnswer(401, detail="Sign in to open this app.")
        key = (question.owner, question.project, question.app)
        if self.owners.get(key) != user:
            return AccessAnswer(404, detail="There is nothing here, or you may not see it.")
        status = self.statuses.get(key, 200)
        page = f"/{question.owner}/{question.project}"
        if status != 200:
            return AccessAnswer(status, detail=f"{question.app} is not running.", page=page)
        # Ids as the server has them: of rows, not the secrets.
        session = f"id-{session}" if session else None
        token = f"id-{token}" if token else None
        grant = Grant(self.apps[key], NODE_ID, user, question.project, session, token)
        return AccessAnswer(200, ttl=self.ttl, grant=grant, page=page)

    async def _token(self, headers, receive, send) -> None:
        basic = httpx.BasicAuth(GATEWAY_ID, self.credential)
        wanted = next(basic.auth_flow(httpx.Request("GET", "http://x"))).headers["authorization"]
        form = dict(parse_qsl((await _body(receive)).decode()))
        code = self.codes.pop(form.get("code", ""), None)
        if headers.get(b"authorization", b"").decode() != wanted:
            await _reply(send, 401, {"error": "invalid_client"})
        elif code is None or not _fits(code, form):
            await _reply(send, 400, {"error": "invalid_grant"})
        else:
            session = secrets.token_urlsafe(16)
            self.sessions[session] = code["user"]
            token = {"access_token": session, "token_type": "Bearer", "expires_in": 3600}
            await _reply(send, 200, token)

    def authorize(self, location: str, user: str) -> tuple[str, dict[str, str]]:
        """Be the person at the sign-in page: return the callback's query, and what was asked."""
        query = {key: values[0] for key, values in parse_qs(location.partition("?")[2]).items()}
        code = secrets.token_urlsafe(8)
        self.codes[code] = query | {"user": user}
        return f"code={code}&state={query['state']}", query

    async def _wire(self, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue = asyncio.Queue()
        self.wires.append(queue)
        sender = asyncio.create_task(self._send_all(queue, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                event = decode_from_gateway(message["text"])
                self.received.append(event)
                if type(event).__name__ == "Hello":
                    queue.put_nowait(Welcome(self.nodes))
        finally:
            self.wires.remove(queue)
            sender.cancel()

    async def _send_all(self, queue, send) -> None:
        while True:
            await send({"type": "websocket.send", "text": encode(await queue.get()).decode()})

    async def say(self, message) -> None:
        for queue in self.wires:
            queue.put_nowait(message)


def _fits(code, form) -> bool:
    import base64
    import hashlib

    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return challenge == code["code_challenge"] and form["redirect_uri"] == code["redirect_uri"]


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
        self.extra_lines: list[bytes] = []
        self._writers: set[asyncio.StreamWriter] = set()
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
                method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
                length = _content_length(head)
                body = await reader.readexactly(length)
                if not await self._answer(method, target, body, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the streams module reports a cancelled handler as an error
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, method, target, body, reader, writer) -> bool:
        if target == "/v1/commands":
            if self.refuse_commands:
                _write(writer, 409, {"code": "no", "detail": "The node will not."})
            else:
                self.commands.append(msgspec.json.decode(body))
                _write(writer, 202, {})
                self._explain(self.commands[-1])
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
        await self._splice(path, reader, writer)
        return False

    def _explain(self, command) -> None:
        """Answer a question as a node on which there is no such project."""
        if command["type"] == "explain":
            cause = "The project has no directory on this node yet."
            answer = Explanation(command["question_id"], "missing", "---", cause=cause)
            for queue in self.streams:
                queue.put_nowait(encode_report(answer))

    async def _splice(self, path, reader, writer) -> None:
        self.spliced += 1
        up_reader, up_writer = await asyncio.open_unix_connection(path)
        inject = msgspec.json.encode({"headers": self.injected}).decode()
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: aen-stream\r\n"
            + f"AEN-Inject: {inject}\r\n\r\n".encode()
        )
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
            for report in (NodeStatus("single", "me", "here", "0", offers), Snapshot(())):
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


class App:
    """An app with one address for each behaviour; ``seen`` is what it was sent."""

    def __init__(self) -> None:
        self.seen: list[SimpleNamespace] = []
        self.gate = asyncio.Event()
        self.first_bytes = threading.Event()
        self.cancelled = threading.Event()
        self.flooded = 0
        self.closed: list[int] = []
        self.messages = 0

    async def __call__(self, scope, receive, send) -> None:
        name = scope["raw_path"].decode().split("/")[4].partition("?")[0] or "index"
        self.seen.append(
            SimpleNamespace(
                type=scope["type"],
                method=scope.get("method"),
                target=scope["raw_path"],
                query=scope["query_string"],
                headers=[(key.decode("latin-1"), value.decode("latin-1"))
                         for key, value in scope["headers"]],
            )
        )  # fmt: skip
        if scope["type"] == "websocket":
            await self._websocket(name, scope, receive, send)
        else:
            await getattr(self, f"on_{name}", self.on_index)(scope, receive, send)

    async def on_index(self, scope, receive, send) -> None:
        await _reply(send, 200, {"path": scope["path"]})

    async def on_echo(self, scope, receive, send) -> None:
        body = await _body(receive)
        await _reply(send, 200, {"length": len(body), "head": body[:100].decode("latin-1")})

    async def on_gated(self, scope, receive, send) -> None:
        await _start(send, 200, [(b"content-type", b"text/event-stream")])
        await _chunk(send, b"data: one\n\n")
        await self.gate.wait()
        await _chunk(send, b"data: two\n\n", last=True)

    async def on_upload(self, scope, receive, send) -> None:
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cancelled.set()
                return
            length += len(message.get("body", b""))
            self.first_bytes.set()
            if not message.get("more_body"):
                break
        await _reply(send, 200, {"length": length})

    async def on_flood(self, scope, receive, send) -> None:
        await _start(send, 200, [])
        watcher = asyncio.create_task(self._note_disconnect(receive))
        while not self.cancelled.is_set():
            await _chunk(send, b"x" * 65536)
            self.flooded += 65536
            await asyncio.sleep(0)
        await watcher

    async def on_hang(self, scope, receive, send) -> None:
        self.first_bytes.set()
        await self._note_disconnect(receive)

    async def _note_disconnect(self, receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cancelled.set()

    async def on_redirect(self, scope, receive, send) -> None:
        await _start(send, 302, [(b"location", b"http://169.254.169.254/latest")])
        await _chunk(send, b"", last=True)

    async def on_cookies(self, scope, receive, send) -> None:
        cookies = [b"aen_gateway=stolen; Path=/", b"__Host-aen_gateway=x; Path=/; Secure",
                   b"=aen_gateway=y", b"theme=dark; Domain=example.com; Path=/", b"mode=1"]  # fmt: skip
        await _start(send, 200, [(b"set-cookie", cookie) for cookie in cookies])
        await _chunk(send, b"ok", last=True)

    async def on_cut(self, scope, receive, send) -> None:
        await _start(send, 200, [(b"content-length", b"1000")])
        await _chunk(send, b"x" * 10)

    async def on_nothing(self, scope, receive, send) -> None:
        await _start(send, 304, [(b"etag", b'"a"'), (b"content-length", b"10")])
        await _chunk(send, b"", last=True)

    async def _websocket(self, name, scope, receive, send) -> None:
        await receive()
        if name == "refused":
            await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"the app says no"})
            return
        offered = scope["subprotocols"]
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": offered[-1] if offered else None,
                "headers": [(b"set-cookie", b"ws=1; Path=/"), (b"set-cookie", b"aen_x=1")],
            }
        )
        if name == "flood":
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
                self.flooded += 65536
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.closed.append(message["code"])
                return
            self.messages += 1
            text = message.get("text")
            if text is not None and text.startswith("close "):
                code, _, reason = text.removeprefix("close ").partition(" ")
                await send({"type": "websocket.close", "code": int(code), "reason": reason})
                return
            await send({"type": "websocket.send", "text": text, "bytes": message.get("bytes")})


async def _body(receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _reply(send, status, content) -> None:
    body = msgspec.json.encode(content)
    fields = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    await _start(send, status, fields)
    await _chunk(send, body, last=True)


async def _reject(send) -> None:
    await send({"type": "websocket.close", "code": 4401})


async def _start(send, status, headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _chunk(send, body, *, last=False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


class Site:
    """A gateway process between a fake server and a fake node."""

    def __init__(self, node_tls: ssl.SSLContext | None = None, **config) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="aen-gw-")
        self.directory = Path(self._directory.name)
        self.thread = LoopThread()
        self.credential = secrets.token_urlsafe(24)
        self.server = FakeServer(self.credential)
        self.node = FakeNode(self.directory / "agent.sock", node_tls)
        self.server.nodes = (NodeAddress(NODE_ID, "node-1", f"unix:{self.node.path}"),)
        self.server_port, self.port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server_url = f"http://127.0.0.1:{self.server_port}"
        self._config = config
        self._apps: list[Served] = []
        self._process: subprocess.Popen | None = None
        self.log = self.directory / "gateway.log"

    # --- the parts -------------------------------------------------------------------------------

    def start(self) -> "Site":
        self.start_server()
        self.thread.run(self.node.start())
        if self.node.port:
            address = f"https://localhost:{self.node.port}"
            self.server.nodes = (NodeAddress(NODE_ID, "node-1", address),)
        self.start_gateway()
        return self

    def start_server(self) -> None:
        self._served = Served(self.server, host="127.0.0.1", port=self.server_port)
        self.thread.run(self._served.start())

    def stop_server(self) -> None:
        self.thread.run(self._served.stop())

    def start_gateway(self) -> None:
        self._write_config()
        environment = {
            "PATH": os.defpath,
            "AEN_GATEWAY_CONFIG": str(self.directory / "gateway.json"),
            "AEN_GATEWAY_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway"], env=environment, stdout=log, stderr=log, cwd=ROOT
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        eventually(self._ready, 30)

    def _ready(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/-/health", trust_env=False).json()["messages"] == []
        return False

    def _write_config(self) -> None:
        for name, secret in (("credential", self.credential), ("secret_key", "k" * 50)):
            path = self.directory / name
            path.write_text(secret)
            path.chmod(0o600)
        config = {
            "gateway_id": GATEWAY_ID,
            "server": self.server_url,
            "server_public": self.server_url,
            "public_url": self.url,
            "credential_file": str(self.directory / "credential"),
            "secret_key_file": str(self.directory / "secret_key"),
        }
        (self.directory / "gateway.json").write_bytes(msgspec.json.encode(config | self._config))

    def stop_gateway(self, *, kill: bool = False) -> None:
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait(15)
            self._process = None

    @property
    def gateway_pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        self.stop_gateway()
        self.thread.run(_all(app.stop() for app in self._apps))
        with contextlib.suppress(Exception):
            self.stop_server()
        self.thread.run(self.node.stop())
        self.thread.stop()
        self._directory.cleanup()

    # --- people and apps -------------------------------------------------------------------------

    def open_app(self, name: str = "lab", app: object = None) -> SimpleNamespace:
        """Return a new person's running app: ``app``, its address, their session and token."""
        app = app or self.thread.run(_made(App))
        owner = "p" + uuid.uuid4().hex[:12]
        app_id = uuid.uuid4().hex
        path = self.directory / f"{app_id[:8]}.sock"
        served = Served(app, uds=str(path))
        self.thread.run(served.start())
        self._apps.append(served)
        self.node.apps[app_id] = path
        key = (owner, "work", name)
        session, token = f"s-{uuid.uuid4().hex}", f"t-{uuid.uuid4().hex}"
        self.server.apps[key], self.server.owners[key] = app_id, owner
        self.server.sessions[session] = self.server.tokens[token] = owner
        prefix = f"/{owner}/work/{name}/"
        return SimpleNamespace(
            app=app, key=key, app_id=app_id, owner=owner, session=session, token=token,
            prefix=prefix, url=self.url + prefix, ws=self.url.replace("http", "ws") + prefix,
            cookie={"Cookie": f"aen_gateway={session}"}, served=served,
            bearer={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    def client(self, **options) -> httpx.Client:
        return httpx.Client(trust_env=False, follow_redirects=False, timeout=20, **options)

    def revoke(self, field: str, value: str) -> None:
        self.thread.run(self.server.say(Revoke(field, value)))

    def send_nodes(self) -> None:
        self.thread.run(self.server.say(Nodes(self.server.nodes)))

    def command(self, body: dict) -> str:
        name = uuid.uuid4().hex
        raw = msgspec.Raw(msgspec.json.encode(body))
        self.thread.run(self.server.say(ToNode(NODE_ID, name, raw)))
        return name

    def report(self, line: bytes) -> None:
        async def put() -> None:
            for queue in self.node.streams:
                queue.put_nowait(line)

        self.thread.run(put())

    def set(self, event: asyncio.Event) -> None:
        self.thread.loop.call_soon_threadsafe(event.set)

    def resident(self) -> int:
        """Return the gateway's resident memory in bytes."""
        pages = int(Path(f"/proc/{self.gateway_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


async def _all(coroutines):
    await asyncio.gather(*coroutines)


async def _made(make):
    return make()
