"""The agent on a network port: only with a certificate of the right authority, and spliced."""

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme
import uvloop

from compute_agent import server
from compute_agent.config import Config, ConfigError, Tls
from compute_agent.protocol import UPGRADE, Refusal
from compute_agent.splice import Side, link


class EchoApi:
    """Stands for the agent's calls: every upgrade leads to an echo."""

    async def handle(self, exchange):
        if "upgrade" not in exchange.headers:
            await exchange.answer(200, Refusal("hello", ""))
            return
        mine, spliced = socket.socketpair()
        self.echo = asyncio.create_task(echo(mine))
        _, app = await asyncio.get_running_loop().create_connection(Side, sock=spliced)
        link(await exchange.upgrade(UPGRADE, []), app)


async def echo(sock):
    reader, writer = await asyncio.open_connection(sock=sock)
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
def authority(tmp_path):
    """A private CA, the node's settings under it, and a function for clients' contexts."""
    ca = trustme.CA()
    node = ca.issue_cert("node.test")
    node.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    node.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tls = Tls(*(str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem")))

    def client(issuer=ca):
        context = ssl.create_default_context()
        ca.configure_trust(context)
        if issuer:
            issuer.issue_cert("gateway.test").configure_cert(context)
        return context

    return Config(listen=f"https://127.0.0.1:{port}", tls=tls), client


async def talk(config, context, request, more=b""):
    """Send a request, then ``more`` after the answer's head; return all that came."""
    host, port = config.tcp_address
    reader, writer = await asyncio.open_connection(
        host, port, ssl=context, server_hostname="node.test"
    )
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.write(more)
        return head, await asyncio.wait_for(reader.readexactly(len(more)), 20)
    finally:
        writer.close()


def serving(config, work):
    """Run ``work`` beside a listening agent, in the event loop that the agent uses."""

    async def both():
        listener = await server.listen(config, EchoApi())
        try:
            return await work()
        finally:
            listener.close()

    return uvloop.run(both())


HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: node.test\r\n\r\n"
CONNECT = (
    b"POST /x HTTP/1.1\r\nHost: node.test\r\nConnection: Upgrade\r\nUpgrade: aen-stream\r\n\r\n"
)


def test_a_gateway_with_a_certificate_is_answered(authority):
    config, client = authority
    head, _ = serving(config, lambda: talk(config, client(), HEALTH))
    assert head.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("issuer", [None, trustme.CA()], ids=["no certificate", "a foreign one"])
def test_nobody_else_is_answered(authority, issuer):
    config, client = authority
    with pytest.raises((ssl.SSLError, ConnectionError, EOFError)):
        serving(config, lambda: talk(config, client(issuer), HEALTH))


def test_a_connection_to_an_app_carries_much_both_ways(authority):
    config, client = authority
    blob = bytes(range(256)) * 20_000
    head, back = serving(config, lambda: talk(config, client(), CONNECT, blob))
    assert head.startswith(b"HTTP/1.1 101")
    assert back == blob


def test_a_missing_key_is_named(authority):
    config, _ = authority
    broken = Config(listen=config.listen, tls=Tls("/nowhere", "/nowhere", "/nowhere"))
    with pytest.raises(ConfigError, match=r"tls\.key: /nowhere"):
        serving(broken, lambda: None)


@pytest.mark.row(23)
@pytest.mark.parametrize(("mode", "said"), [(0o644, "open to every account"), (None, "No such")])
async def test_a_private_key_that_is_open_or_missing_stops_the_start(authority, mode, said):
    config, _ = authority
    key = Path(config.tls.key)
    key.unlink() if mode is None else key.chmod(mode)
    with pytest.raises(ConfigError, match=f"tls.key: {key}.*{said}"):
        await server.listen(config, EchoApi())
