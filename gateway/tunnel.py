"""The gateway's end of wire 1: one WebSocket to the server, and what runs as long as it stands.

Reports of nodes are state, not history, so nothing is queued while the wire is down: after each
connection every node's event stream is read again from its start.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from importlib.metadata import PackageNotFoundError, version

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from .access import Access
from .config import Tls
from .nodes import Node, NodeDown, NodeRefused
from .protocol import (
    FromGateway,
    FromNode,
    FromServer,
    Hello,
    NodeAddress,
    NodeLink,
    Nodes,
    Revoke,
    ToNode,
    Undelivered,
    Welcome,
    decode_from_server,
    encode,
)

log = logging.getLogger("gateway.tunnel")

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
#: Messages that may wait for the server; when it is full the nodes' streams wait.
MAX_WAITING = 256
#: Commands that may wait for one node.
MAX_COMMANDS = 1000


def our_version() -> str:
    try:
        return version("aen")
    except PackageNotFoundError:
        return "0"


class Backoff:
    """Pauses between attempts: doubling from 0.2 s to 5 s, each shortened by up to a half."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        self._next = FIRST_PAUSE

    async def pause(self) -> None:
        seconds, self._next = self._next, min(2 * self._next, LONGEST_PAUSE)
        await asyncio.sleep(seconds * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret


class Tunnel:
    """Keeps the wire up, the list of nodes current, and carries messages both ways."""

    def __init__(
        self,
        server: str,
        credential: Callable[[], str],
        access: Access,
        tls: Tls | None = None,
    ) -> None:
        self._url = "ws" + server.removeprefix("http") + "/gateway/wire"
        self._credential = credential
        self._access = access
        self._tls = tls
        self.nodes: dict[str, Node] = {}
        self.welcomed = asyncio.Event()
        self.cause = "not connected yet"
        self._background: set[asyncio.Task[None]] = set()

    def node(self, node_id: str) -> Node | None:
        return self.nodes.get(node_id)

    @property
    def connected(self) -> bool:
        return self.welcomed.is_set()

    async def run(self) -> None:
        """Connect, carry, and connect again, until cancelled."""
        backoff = Backoff()
        while True:
            try:
                await self._connect_once(backoff)
            except InvalidStatus as error:
                self._lost(_refusal(error.response.status_code))
            except (OSError, InvalidHandshake, ConnectionClosed, TimeoutError) as error:
                self._lost(str(error) or type(error).__name__)
            except Exception as error:  # nothing may end the wire for good
                log.exception("The wire to the server failed.")
                self._lost(type(error).__name__)
            await backoff.pause()

    async def _connect_once(self, backoff: Backoff) -> None:
        async with connect(
            self._url,
            additional_headers={"Authorization": f"Bearer {self._credential()}"},
            proxy=None,
            compression=None,
            max_size=16 * 1024 * 1024,
            ping_interval=10,
            ping_timeout=10,
            open_timeout=10,
            close_timeout=1,
        ) as wire:
            try:
                await _Session(self, wire, backoff).run()
            finally:
                self.welcomed.clear()
        self._lost("the server closed the connection")

    def _lost(self, cause: str) -> None:
        self.welcomed.clear()
        if cause != self.cause:
            log.warning("The wire to the server is down: %s", cause)
        self.cause = cause

    # --- what the server says --------------------------------------------------------------------

    def welcome(self) -> None:
        """The server is there: whatever was revoked meanwhile was missed."""
        self._access.clear()
        self.cause = ""
        self.welcomed.set()
        log.info("The wire to the server is up.")
        self._later(self._access.recheck())

    def revoke(self, message: Revoke) -> None:
        ended = self._access.revoke(message)
        log.info("Revoked %s: %d open connections ended.", message.field, ended)

    def set_nodes(self, addresses: tuple[NodeAddress, ...]) -> list[tuple[NodeAddress, str]]:
        """Make ``nodes`` the list given; return those whose address cannot be used, and why."""
        refused = []
        kept: dict[str, Node] = {}
        for address in addresses:
            old = self.nodes.pop(address.id, None)
            if old is not None and old.address == address:
                kept[address.id] = old
                continue
            if old is not None:
                self._later(old.aclose())
            try:
                kept[address.id] = Node(address, self._tls)
            except (NodeDown, OSError, ValueError) as error:
                refused.append((address, str(error)))
        for gone in self.nodes.values():
            self._later(gone.aclose())
        self.nodes = kept
        return refused

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def aclose(self) -> None:
        for node in self.nodes.values():
            await node.aclose()


class _Session:
    """One connection to the server: a reader, a writer, and two tasks for each node."""

    def __init__(self, tunnel: Tunnel, wire: ClientConnection, backoff: Backoff) -> None:
        self._tunnel = tunnel
        self._wire = wire
        self._backoff = backoff
        self._up: asyncio.Queue[FromGateway] = asyncio.Queue(MAX_WAITING)
        self._commands: dict[str, asyncio.Queue[ToNode]] = {}
        self._tasks: dict[str, tuple[Node, list[asyncio.Task[None]]]] = {}
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Carry messages until the connection ends; raises what ended it."""
        try:
            async with self._group:
                self._group.create_task(self._write())
                self._group.create_task(self._read())
        except BaseExceptionGroup as group:
            first = group.exceptions[0]
            if not isinstance(first, _Ended):
                raise first from None

    async def _write(self) -> None:
        await self._send(Hello(our_version()))
        while True:
            await self._send(await self._up.get())

    async def _send(self, message: FromGateway) -> None:
        await self._wire.send(encode(message).decode())

    async def _read(self) -> None:
        async for data in self._wire:
            try:
                message = decode_from_server(data)
            except (msgspec.DecodeError, ValueError) as error:
                log.warning("The server sent what this gateway cannot read: %s", error)
                continue
            await self._take(message)
        raise _Ended

    async def _take(self, message: FromServer) -> None:
        if isinstance(message, ToNode):
            await self._command(message)
        elif isinstance(message, Revoke):
            self._tunnel.revoke(message)
        elif isinstance(message, Welcome):
            self._backoff.reset()
            await self._use(message.nodes)
            self._tunnel.welcome()
        elif isinstance(message, Nodes):
            await self._use(message.nodes)

    async def _use(self, addresses: tuple[NodeAddress, ...]) -> None:
        refused = self._tunnel.set_nodes(addresses)
        for node_id, (node, tasks) in list(self._tasks.items()):
            if self._tunnel.nodes.get(node_id) is not node:
                for task in tasks:
                    task.cancel()
                del self._tasks[node_id], self._commands[node_id]
        for node in self._tunnel.nodes.values():
            if node.id not in self._tasks:
                self._commands[node.id] = asyncio.Queue(MAX_COMMANDS)
                work = (self._follow(node), self._deliver(node, self._commands[node.id]))
                tasks = [self._group.create_task(one) for one in work]
                self._tasks[node.id] = (node, tasks)
        for address, cause in refused:
            await self._up.put(NodeLink(address.id, up=False, cause=f"{address.name}: {cause}"))

    # --- reports upwards -------------------------------------------------------------------------

    async def _follow(self, node: Node) -> None:
        """Read the node's events for as long as the wire stands, and say when the link changes."""
        backoff = Backoff()
        said: bool | None = None
        told = ""
        try:
            while True:
                try:
                    async for line in node.events():
                        if said is not True:
                            said = node.up = True
                            node.cause = ""
                            backoff.reset()
                            await self._up.put(NodeLink(node.id, up=True))
                        if line:
                            await self._up.put(FromNode(node.id, msgspec.Raw(line)))
                except NodeDown as error:
                    node.up, node.cause = False, str(error)
                if said is not False or node.cause != told:
                    said, told = False, node.cause
                    log.warning("Node %s is not reachable: %s", node.address.name, node.cause)
                    await self._up.put(NodeLink(node.id, up=False, cause=node.cause))
                await backoff.pause()
        finally:
            node.up = False

    # --- commands downwards ----------------------------------------------------------------------

    async def _command(self, message: ToNode) -> None:
        queue = self._commands.get(message.node)
        if queue is None:
            # Not final: the list of nodes may be on its way.
            await self._undelivered(message, "The gateway does not know this node.", final=False)
            return
        try:
            queue.put_nowait(message)
        except asyncio.QueueFull:
            await self._undelivered(message, "Too many commands wait for this node.", final=False)

    async def _deliver(self, node: Node, commands: "asyncio.Queue[ToNode]") -> None:
        """Hand commands to the node one after the other, in the order the server sent them."""
        while True:
            message = await commands.get()
            try:
                await node.command(bytes(message.body))
            except NodeRefused as error:
                await self._undelivered(message, str(error), final=True)
            except NodeDown as error:
                await self._undelivered(message, str(error), final=False)

    async def _undelivered(self, message: ToNode, cause: str, *, final: bool) -> None:
        await self._up.put(Undelivered(message.node, message.id, cause, final))


class _Ended(Exception):
    """The server closed the wire in good order."""


def _refusal(status: int) -> str:
    if status in (401, 403):
        return "the server does not accept this gateway's credential; enrol it again"
    return f"the server answered {status}"
