"""The gateway put together: one object that the lifespan makes and every request is given."""

import asyncio
import contextlib
from collections.abc import Callable

import httpx

from .access import Access, http_ask
from .accesslog import AccessLog
from .config import Config, read_secret
from .entry import Entry
from .gate import Gate
from .haproxy.plane import Plane
from .lasting import Lasting
from .limits import Door, Limits
from .metrics import Metrics
from .nodes import NodeDown, NodeRefused, plain_client
from .signin import SignIn
from .tunnel import Tunnel
from .upstream import Pool

_SWEEP_SECONDS = 10.0
#: Seconds after which a request is watched for a client that goes away; most are done before.
WATCH_AFTER = 0.05


class Gateway:
    """Holds what outlives a request: the wire, the memory of grants, idle connections."""

    def __init__(self, config: Config, log: AccessLog | None = None) -> None:
        self.config = config
        credential: Callable[[], str] = lambda: read_secret(config.credential_file)  # noqa: E731
        credential()  # a missing or open one must stop the start, not the first request
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=32)
        self._client = plain_client(base_url=config.server, timeout=10.0, limits=limits)
        self.access = Access(
            http_ask(self._client, credential), max_ttl=config.max_ttl, grace=config.grace
        )
        self.signin = SignIn(config, self._client, credential)
        self.tunnel = Tunnel(config.server, credential, self.access, config.tls)
        self.limits = Limits(config.limits)
        self.door: Door | None = None
        self.entry = Entry(config)
        self.gate = Gate(config, self.access, self.signin, self.entry, self.limits)
        self.lasting = Lasting(WATCH_AFTER)
        self.metrics = Metrics()
        self.pool = Pool()
        self.plane: Plane | None = None
        if config.haproxy is not None:
            self.plane = Plane(config.haproxy, self.access, self.pool, self.tunnel.node)
            self.gate.on_admitted = self.plane.admitted
        self.log = log or AccessLog()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin what runs for as long as the gateway does."""
        work = [self.tunnel.run(), self.access.recheck_forever(), self._sweep_forever()]
        if self.plane is not None:
            work.append(self.plane.run())
        self._tasks = [asyncio.create_task(one) for one in work]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self.plane is not None:
            await self.plane.stop()
        self.pool.end()
        await self.tunnel.aclose()
        await self._client.aclose()
        self.log.flush()

    def note(
        self, way: str, who: tuple[str, str], what: tuple[str, bytes], status: int, seconds: float
    ) -> None:
        """Write down a finished request: ``who`` is address and user, ``what`` method and path.

        Status 0 stands for a client that went away first.
        """
        status = status or 499
        self.metrics.count(way, status, seconds)
        self.log.add(*who, what, status, seconds)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.pool.sweep()
            await self._tell_used()

    async def _tell_used(self) -> None:
        """Tell nodes which apps are in use; one that cannot be told now is with the next bytes."""
        for node_id, app_ids in self.pool.used().items():
            node = self.tunnel.node(node_id)
            if node is not None:
                with contextlib.suppress(NodeDown, NodeRefused):
                    await node.tell_used(tuple(app_ids))

    def problems(self, *, causes: bool = True) -> list[str]:
        """Return what is wrong, each in one sentence; empty when all is well.

        ``causes`` tell of machines, their paths and addresses.
        """
        found = []
        if not self.tunnel.connected:
            found.append(("The server is not connected", self.tunnel.cause))
        found += [
            (f"Node {node.address.name} is not connected", node.cause)
            for node in self.tunnel.nodes.values()
            if self.tunnel.connected and not node.up
        ]
        if self.plane is not None and self.plane.processes.cause:
            found.append(("HAProxy is not connected", self.plane.processes.cause))
        if self.plane is not None and (near := self.plane.passed_over(self.tunnel.nodes.values())):
            cause = f"haproxy.agent in gateway.json is not the address of a node here, {near}"
            found.append(("HAProxy carries nothing", cause))
        return [f"{fact}: {cause}." if causes else f"{fact}." for fact, cause in found]
