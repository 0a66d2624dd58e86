"""A site without server and node: just enough of wire 1 and wire 2 around a real gateway process.

Server, node and apps run on an event loop of their own in a thread; the gateway is a process as
on a site. Tests speak to it as browsers and programs do.
"""

import asyncio
import contextlib
import os
import secrets
import ssl
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from types import SimpleNamespace

import httpx
import msgspec
from fake_app import App
from fake_haproxy import Haproxy
from fake_node import FakeNode
from fake_parts import GATEWAY_ID, NODE_ID, ROOT, LoopThread, Served, eventually
from fake_server import FakeServer

from gateway.protocol import NodeAddress, Nodes, Revoke, ToNode
from gateway.protocol.origins import app_address, own_address
from tests.waiting import free_port

__all__ = [
    "GATEWAY_ID", "NODE_ID", "ROOT", "App", "FakeNode", "GatewayProcess", "LoopThread", "Served",
    "Site", "eventually", "free_port",
]  # fmt: skip


SECRET_KEY = "k" * 50


class GatewayProcess:
    """A gateway as on a site, for the server and the node of a ``Site``."""

    def __init__(self, site: "Site", port: int, log: Path, **config) -> None:
        self._log, self.port = log, port
        self.url = f"http://127.0.0.1:{port}"
        self._place = site.directory / f"gateway-{port}"
        self._place.mkdir(exist_ok=True)
        for name, secret in (("credential", site.credential), ("secret_key", SECRET_KEY)):
            path = self._place / name
            path.write_text(secret)
            path.chmod(0o600)
        wanted = {
            "gateway_id": GATEWAY_ID,
            "server": site.server_url,
            "server_public": site.server_url,
            "public_url": self.url,
            "credential_file": str(self._place / "credential"),
            "secret_key_file": str(self._place / "secret_key"),
            "metrics_token_file": str(self._place / "secret_key"),
        }
        (self._place / "gateway.json").write_bytes(msgspec.json.encode(wanted | config))

    def start(self) -> "GatewayProcess":
        environment = {
            "PATH": os.defpath,
            "AEN_GATEWAY_CONFIG": str(self._place / "gateway.json"),
            "AEN_GATEWAY_PORT": str(self.port),
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "AEN_BIND": os.environ.get("AEN_BIND", "127.0.0.1"),
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway"], env=environment, stdout=log, stderr=log, cwd=ROOT
            )
        return self

    def wait_ready(self) -> None:
        eventually(self._ready, 30)

    def _ready(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/-/health", trust_env=False).json()["messages"] == []
        return False

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self, *, kill: bool = False) -> None:
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(15)


class Site:
    """A gateway process between a fake server and a fake node.

    With ``origins`` each app has a name of its own below ``apps.localhost``: browsers take these for
    neighbours (one site), as those of a company's domain. With ``haproxy`` there is one in front.
    """

    def __init__(
        self,
        node_tls: ssl.SSLContext | None = None,
        *,
        origins: bool = False,
        haproxy: bool = False,
        **config,
    ) -> None:
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
        self.public_url = f"http://*.apps.localhost:{self.port}" if origins else self.url
        self._config = {"public_url": self.public_url} | config
        self.haproxy: Haproxy | None = None
        if haproxy:
            self.haproxy = Haproxy(self.directory, self.node.path, self.public_url)
            self._config |= {"haproxy": self.haproxy.config}
        self._apps: list[Served] = []
        self.gateway: GatewayProcess | None = None
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
        port = free_port() if self.haproxy else self.port
        self.gateway = GatewayProcess(self, port, self.log, **self._config).start()
        if self.haproxy is not None and not self.haproxy.running:
            self.haproxy.start()
        self.wait_ready()

    def another_gateway(self, **config) -> "GatewayProcess":
        """Start one more, with further keys of gateway.json; its caller stops it."""
        gateway = GatewayProcess(self, free_port(), self.log, **config).start()
        gateway.wait_ready()
        return gateway

    def wait_ready(self) -> None:
        self.gateway.wait_ready()
        if self.haproxy is not None:
            eventually(lambda: httpx.get(f"{self.url}/-/health", trust_env=False).is_success)

    def stop_gateway(self, *, kill: bool = False) -> None:
        if self.gateway is not None:
            self.gateway.stop(kill=kill)
            self.gateway = None

    @property
    def gateway_pid(self) -> int:
        return self.gateway.pid

    def stop(self) -> None:
        if self.haproxy is not None:
            self.haproxy.stop()
        self.stop_gateway()
        self.thread.run(_all(app.stop() for app in self._apps))
        with contextlib.suppress(Exception):
            self.stop_server()
        self.thread.run(self.node.stop())
        self.thread.stop()
        self._directory.cleanup()

    @property
    def own_url(self) -> str:
        """Where browsers find the gateway's own pages."""
        return own_address(self.public_url)

    # --- people and apps -------------------------------------------------------------------------

    def open_app(self, name: str = "lab", app: object = None) -> SimpleNamespace:
        """Return a new person's running app: ``app``, its address, their session and token."""
        app = app or self.thread.run(_made(App))
        opened = self.open_socket(name)
        served = Served(app, uds=str(opened.path))
        self.thread.run(served.start())
        self._apps.append(served)
        opened.app, opened.served = app, served
        return opened

    def open_socket(self, name: str = "lab") -> SimpleNamespace:
        """Return a new person's app, to listen at ``path`` as its caller likes."""
        owner = "p" + uuid.uuid4().hex[:12]
        app_id = uuid.uuid4().hex
        path = self.directory / f"{app_id[:8]}.sock"
        self.node.apps[app_id] = path
        key = (owner, "work", name)
        session, token = f"s-{uuid.uuid4().hex}", f"t-{uuid.uuid4().hex}"
        self.server.apps[key], self.server.owners[key] = app_id, owner
        self.server.sessions[session] = self.server.tokens[token] = owner
        prefix = f"/{owner}/work/{name}/"
        url = app_address(self.public_url, prefix)
        return SimpleNamespace(
            key=key, app_id=app_id, owner=owner, session=session, token=token, path=path,
            prefix=prefix, url=url, ws=url.replace("http", "ws", 1),
            cookie={"Cookie": f"aen_gateway={session}"},
            bearer={"Authorization": f"Bearer {token}"},
        )  # fmt: skip

    def granted(self, opened: SimpleNamespace | None = None) -> SimpleNamespace:
        """Return an app, by default a new one, whose access the gateway has asked for."""
        opened = opened or self.open_app()
        # Refused for its origin, but only after the question: the app sees nothing of it.
        foreign = opened.cookie | {"Origin": "https://foreign.example"}
        answer = httpx.post(opened.url, headers=foreign, trust_env=False)
        assert answer.status_code == 403, answer.text
        return opened

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

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        shown = {"Authorization": "Bearer " + SECRET_KEY}
        answer = httpx.get(f"{self.url}/-/metrics", headers=shown, trust_env=False)
        assert answer.status_code == 200
        return answer.text

    def resident(self) -> int:
        """Return the gateway's resident memory in bytes."""
        pages = int(Path(f"/proc/{self.gateway_pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


async def _all(coroutines):
    await asyncio.gather(*coroutines)


async def _made(make):
    return make()
