"""The agent's end of wire 2: five calls, for the gateway alone.

On a Unix socket the peer's account decides; on TCP its certificate does.
"""

import asyncio
import contextlib
import logging
import os
import re
import socket
import ssl
import stat
from pathlib import Path

import msgspec

from compute_agent import upstream
from compute_agent.appdir import socket_path
from compute_agent.config import Config, ConfigError, service_uid
from compute_agent.host import privileges
from compute_agent.http import Connection, Exchange, Refused
from compute_agent.launch import headers
from compute_agent.protocol import (
    HEARTBEAT,
    PASSED,
    UPGRADE,
    Inject,
    NodeStatus,
    Snapshot,
    decode_command,
    decode_used,
    encode,
)
from compute_agent.record import Record
from compute_agent.splice import Side, link
from compute_agent.status import node_status
from compute_agent.supervisor import Declined, Supervisor

_CONNECT = re.compile(r"/v1/apps/([0-9a-f]{32})/connect")
#: A gateway opens a connection for each of hundreds of WebSockets that come back at once.
_BACKLOG = 1024
_log = logging.getLogger(__name__)


class Api:
    """Answers requests from the supervisor's knowledge."""

    def __init__(self, config: Config, supervisor: Supervisor) -> None:
        self._config = config
        self._supervisor = supervisor

    async def handle(self, exchange: Exchange) -> None:
        route = (exchange.method, exchange.path)
        if route == ("GET", "/v1/health"):
            await exchange.answer(200, self._status())
        elif route == ("POST", "/v1/commands"):
            await self._command(exchange)
        elif route == ("GET", "/v1/events"):
            await self._events(exchange)
        elif route == ("POST", "/v1/used"):
            await self._used(exchange)
        elif exchange.method == "POST" and (match := _CONNECT.fullmatch(exchange.path)):
            await self._connect(exchange, match[1])
        else:
            raise Refused(404, "no_such_call", f"There is no {exchange.method} {exchange.path}.")

    def _status(self) -> NodeStatus:
        return node_status(self._config, self._supervisor)

    async def _command(self, exchange: Exchange) -> None:
        try:
            command = decode_command(exchange.body)
        except msgspec.MsgspecError as error:
            raise Refused(422, "bad_command", str(error)) from None
        try:
            self._supervisor.take(command)
        except Declined as declined:
            raise Refused(409, declined.code, str(declined)) from None
        await exchange.answer(202, Accepted())

    async def _used(self, exchange: Exchange) -> None:
        """Note what went by on sockets that the agent does not see any more."""
        try:
            used = decode_used(exchange.body)
        except msgspec.MsgspecError as error:
            raise Refused(422, "bad_message", str(error)) from None
        for app_id in used.app_ids:
            record = self._supervisor.registry.find(app_id)
            if record is not None:
                record.traffic.moved = True
        await exchange.answer(202, Accepted())

    async def _events(self, exchange: Exchange) -> None:
        """Send all that is known, then every change, and a sign of life between."""
        registry = self._supervisor.registry
        with registry.subscribed() as changes:
            await exchange.begin_stream()
            known = registry.app_ids
            await exchange.stream(encode(self._status()))
            for app_id in known:
                await self._send_app(exchange, app_id)
            await exchange.stream(encode(Snapshot(app_ids=known)))
            loop = asyncio.get_running_loop()
            heartbeat = loop.time()
            while True:
                left = heartbeat + HEARTBEAT * 0.8 - loop.time()
                for app_id in await changes.next(max(0.0, left)):
                    await self._send_app(exchange, app_id)
                for answer in changes.answers():
                    await exchange.stream(encode(answer))
                if loop.time() >= heartbeat + HEARTBEAT * 0.8:
                    heartbeat = loop.time()
                    await exchange.stream(encode(self._status()))

    async def _send_app(self, exchange: Exchange, app_id: str) -> None:
        record = self._supervisor.registry.find(app_id)
        if record is not None:
            await exchange.stream(encode(record.status))

    async def _connect(self, exchange: Exchange, app_id: str) -> None:
        """Pass the caller a connection to the app, or turn this one into it."""
        wanted = exchange.headers.get("upgrade", "").lower().replace(" ", "").split(",")
        if UPGRADE not in wanted:
            raise Refused(426, "no_upgrade", f"This call needs the header Upgrade: {UPGRADE}.")
        sock, record = await self._reach(app_id)
        header = ("AEN-Inject", encode(self._inject(record)).decode())
        if PASSED in wanted and exchange.can_pass_sockets:
            record.traffic.moved = True
            with sock:
                exchange.pass_socket(PASSED, [header], sock)
            return
        app = await _attached(sock, record)
        client = await exchange.upgrade(UPGRADE, [header])
        client.traffic = app.traffic
        link(client, app)

    async def dial(self, app_id: str) -> Side:
        """Return an attached connection to the app; raises ``Refused``."""
        return await _attached(*await self._reach(app_id))

    async def _reach(self, app_id: str) -> tuple[socket.socket, Record]:
        record = self._supervisor.registry.find(app_id)
        if record is None:
            raise Refused(404, "unknown_app", "This node does not know the app.")
        if record.state != "running":
            raise Refused(409, "not_running", f"The app is not running; it is {record.state}.")
        return await _reach(record), record

    def _inject(self, record: Record) -> Inject:
        descriptor = record.launch and self._supervisor.catalog.apps.get(record.launch.app)
        if not descriptor or not record.launch:
            return Inject()
        injected = headers(descriptor, record.token)
        if descriptor.prefix == "keep":
            return Inject(injected)
        prefix = record.launch.url_prefix.rstrip("/")
        return Inject(injected | {"X-Forwarded-Prefix": prefix}, strip=True)


class Accepted(msgspec.Struct, frozen=True):
    """Body of the answer to a command that was taken."""

    status: str = "accepted"


async def _reach(record: Record) -> socket.socket:
    """Return a connection to the app."""
    try:
        return await upstream.connect(socket_path(record.directory), record.uid)
    except OSError as error:
        _log.warning("app %s cannot be reached: %s", record.app_id, error)
        raise Refused(502, "unreachable", "The app does not answer at its socket.") from None


async def _attached(sock: socket.socket, record: Record) -> Side:
    """Return the connection as a side to splice, whose bytes count as use of the app."""
    loop = asyncio.get_running_loop()
    _, app = await loop.create_unix_connection(Side, sock=sock)
    app.traffic = record.traffic
    return app


# --- listening -----------------------------------------------------------------------------------


async def listen(config: Config, api: Api) -> asyncio.AbstractServer:
    """Open the agent's port or socket.

    Raises ``ConfigError`` when another agent has it or TLS files are unusable.
    """
    loop = asyncio.get_running_loop()
    path = config.socket_path
    try:
        if path is None:
            host, port = config.tcp_address
            return await loop.create_server(
                lambda: Connection(api.handle, lambda _: True), host, port, ssl=_tls(config)
            )
        _make_way(path)
        admitted = _admitted(config)
        server = await loop.create_unix_server(
            lambda: Connection(api.handle, lambda peer: _is_admitted(peer, admitted), api.dial),
            str(path),
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise ConfigError(f"listen: {config.listen}: {error.strerror or error}") from None
    _open_to_service(path, config)
    return server


def _admitted(config: Config) -> frozenset[int]:
    service = service_uid(config)
    return frozenset({0, os.geteuid()} | ({service} if service is not None else set()))


def _is_admitted(transport: asyncio.Transport, admitted: frozenset[int]) -> bool:
    uid = upstream.peer_uid(transport.get_extra_info("socket"))
    if uid not in admitted:
        _log.warning("a process of uid %d was turned away", uid)
    return uid in admitted


def _make_way(path: Path) -> None:
    """Remove the socket of an agent that is gone; leave alone one that still answers."""
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise ConfigError(f"listen: another agent listens at {path}")


def _open_to_service(path: Path, config: Config) -> None:
    """Let the gateway's account open the socket; who connects is checked all the same."""
    service = service_uid(config)
    path.chmod(0o600)
    if privileges.serves_others() and service is not None:
        with contextlib.suppress(OSError):
            os.chown(path, service, -1)


def _check_key(key: Path) -> None:
    try:
        mode = key.stat().st_mode
    except OSError as error:
        raise ConfigError(f"tls.key: {key}: {error.strerror}") from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"tls.key: {key} is open to every account; run chmod 600 on it")


def _tls(config: Config) -> ssl.SSLContext:
    tls = config.tls
    if tls is None:
        raise ConfigError("tls: is needed to listen on a network port")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    _check_key(Path(tls.key))
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except OSError as error:
        raise ConfigError(f"tls.certificate: {tls.certificate}: {error}") from None
    try:
        context.load_verify_locations(tls.client_ca)
    except OSError as error:
        raise ConfigError(f"tls.client_ca: {tls.client_ca}: {error}") from None
    return context
