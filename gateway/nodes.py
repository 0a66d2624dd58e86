"""The nodes of this gateway's data center: how they are reached, and what they report."""

import contextlib
import http.cookiejar
import logging
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import msgspec

from compute_agent.protocol import HEARTBEAT, Refusal, Used, encode

from .config import Tls
from .protocol import NodeAddress
from .upstream import Splice, by_socket, by_tls

log = logging.getLogger("gateway.nodes")

#: Longest line of the event stream: an app's status with its whole launch log.
MAX_LINE = 4 * 1024 * 1024


class NodeDown(Exception):
    """The node cannot be reached, or fell silent; ``str()`` says why."""


class NodeRefused(Exception):
    """The node will never take this command; ``str()`` says why."""


def plain_client(**options: object) -> httpx.AsyncClient:
    """Return an HTTP client that keeps no cookies, follows nothing and reads no environment."""
    nothing = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(nothing),
        **options,  # type: ignore[arg-type]
    )


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for mutual TLS: our certificate, and only the private CA trusted."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.load_cert_chain(tls.certificate, tls.key)
    return context


class Node:
    """One node, by its address ``unix:/path`` or ``https://host:5002``."""

    def __init__(self, address: NodeAddress, tls: Tls | None) -> None:
        self.address = address
        self.id = address.id
        self.up = False
        self.cause = "not connected yet"
        self._context: ssl.SSLContext | None = None
        if address.address.startswith("unix:"):
            self._path = address.address.removeprefix("unix:")
            transport = httpx.AsyncHTTPTransport(uds=self._path)
            base = "http://node"
        else:
            url = urlsplit(address.address)
            if url.scheme != "https" or not url.hostname:
                raise NodeDown(f"its address {address.address!r} is neither unix: nor https:")
            if tls is None:
                raise NodeDown('gateway.json has no "tls", which a node on another host needs')
            self._path = ""
            self._host, self._port = url.hostname, url.port or 5002
            self._context = client_context(tls)
            transport = httpx.AsyncHTTPTransport(verify=self._context)
            base = f"https://{self._host}:{self._port}"
        self._client = plain_client(transport=transport, base_url=base, timeout=10.0)

    async def connect(self, app_id: str) -> Splice:
        """Return a connection to an app; see ``by_socket`` for what it raises."""
        if self._path:
            return await by_socket(self._path, app_id)
        return await by_tls(self._host, self._port, self._context, app_id)

    async def tell_used(self, app_ids: tuple[str, ...]) -> None:
        """Say over which apps' passed sockets bytes went; raises as ``command``."""
        await self._post("/v1/used", encode(Used(app_ids)))

    async def command(self, body: bytes) -> None:
        """Hand one command to the node; raises ``NodeDown`` or ``NodeRefused``."""
        await self._post("/v1/commands", body)

    async def _post(self, path: str, body: bytes) -> None:
        try:
            answer = await self._client.post(
                path, content=body, headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise NodeDown(_why(error)) from error
        if answer.status_code < 300:
            return
        cause = _detail(answer.content) or f"it answered {answer.status_code}"
        if 400 <= answer.status_code < 500:
            raise NodeRefused(cause)
        raise NodeDown(cause)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield each line of the event stream, from its start; ends by raising ``NodeDown``.

        Each line is checked to be one JSON object, so that it cannot be read as anything else
        when it is embedded in a message to the server.
        """
        silence = httpx.Timeout(10.0, read=3 * HEARTBEAT)
        try:
            async with self._client.stream("GET", "/v1/events", timeout=silence) as answer:
                if answer.status_code != 200:
                    raise NodeDown(f"it answered {answer.status_code} to the event stream")
                yield b""  # the link is up
                async for line in _lines(answer.aiter_raw()):
                    yield line
        except httpx.ReadTimeout as error:
            raise NodeDown(f"it said nothing for {3 * HEARTBEAT:.0f} seconds") from error
        except httpx.HTTPError as error:
            raise NodeDown(_why(error)) from error
        raise NodeDown("it ended the event stream")

    async def aclose(self) -> None:
        await self._client.aclose()


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # Not httpx's aiter_lines: that also splits at U+2028 and the like, which JSON may hold.
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > MAX_LINE:
            raise NodeDown("it sent a line that does not end")
        for line in lines:
            if not line.strip():
                continue
            if not _is_object(line):
                log.warning("A node sent a line that is not a JSON object; it was dropped.")
                continue
            yield line


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False


def _detail(body: bytes) -> str:
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        return msgspec.json.decode(body, type=Refusal).detail
    return ""


def _why(error: httpx.HTTPError) -> str:
    """Return the cause in words: what the agent's host would show, not what a library calls it."""
    if isinstance(error, httpx.RemoteProtocolError):
        return "its agent ended the connection"
    under = error.__cause__ or error.__context__ or error
    while (deeper := under.__cause__ or under.__context__) is not None:
        under = deeper
    if isinstance(under, ConnectionRefusedError):
        return "its agent does not run: nothing listens there"
    if isinstance(under, FileNotFoundError):
        return "its agent does not run: its socket is not there"
    return str(error) or type(error).__name__
