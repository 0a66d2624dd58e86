"""Keeps HAProxy's map as the gateway's own memory of grants is, and ends what is revoked."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable

from ..access import Access
from ..config import Haproxy
from ..gate import Admitted
from ..metrics import lines_of
from ..nodes import Node
from ..upstream import AppRefused, AppUnreachable, Pool
from .entries import escaped, key_of, value_of
from .processes import MAP, Processes
from .slots import Slot, Slots

log = logging.getLogger("gateway.haproxy")

TICK = 1.0
#: Seconds for which a slot must have been of no use before another grant gets it.
REST = 3.0
#: Seconds after which the sessions of a revoked slot are shut once more, for one that was on its way.
AGAIN = 0.25
#: Slots of one person, and keys in the map for one slot: both can be made at will, by cookies of any
#: text beside the session. What is beyond goes through the gateway.
MOST_SLOTS, MOST_KEYS = 64, 64


def metrics_text(counts: dict[str, int]) -> str:
    """Return the counts as text; of statuses HAProxy knows the first digit only."""
    statuses = [
        (f'{{status="{digit}xx"}}', counts.get(f"hrsp_{digit}xx", 0)) for digit in range(1, 6)
    ]
    lines = [
        *lines_of("haproxy_requests_total", "counter", statuses),
        *lines_of("haproxy_open_connections", "gauge", [("", counts.get("scur", 0))]),
        *lines_of("haproxy_app_errors_total", "counter", [("", counts.get("econ", 0))]),
        *lines_of("haproxy_app_bytes_total", "counter", [
            ('{direction="from"}', counts.get("bout", 0)),
            ('{direction="to"}', counts.get("bin", 0)),
        ]),
    ]  # fmt: skip
    return "\n".join([*lines, ""])


class Plane:
    """What HAProxy carries, and under which grants."""

    def __init__(
        self, config: Haproxy, access: Access, pool: Pool, node: Callable[[str], Node | None]
    ) -> None:
        self._agent = config.agent
        self._access = access
        self._pool = pool
        self._node = node
        self._slots = Slots()
        self.processes = Processes(config.runtime, self._begin_anew)
        self._work: set[asyncio.Task[None]] = set()
        access.on_clear = self.forget_all

    async def run(self) -> None:
        """Follow HAProxy's processes and let go of what has ended, until cancelled."""
        while True:
            try:
                await self.processes.follow()
                await self._sweep()
            except (OSError, TimeoutError, ValueError) as error:
                self.processes.lost(str(error) or type(error).__name__)
            except Exception:
                log.exception("HAProxy's map could not be kept.")
            await asyncio.sleep(TICK)

    def _begin_anew(self, names: list[str]) -> None:
        """A process has begun, whose map is empty."""
        for slot in self._slots.used.values():
            slot.entries.clear()
        self._slots.offer(names)

    # --- what is granted -------------------------------------------------------------------------

    def admitted(self, admitted: Admitted) -> None:
        """Take note of a request that came by HAProxy and may pass: the next need not come here."""
        key = key_of(admitted) if self.processes.newest else None
        if key is None or not self._is_near(admitted.grant.node):
            return
        slot = self._slot(admitted)
        if slot is None or slot.entries.get(key, 0) > time.time():
            return
        if key not in slot.entries and len(slot.entries) >= MOST_KEYS:
            return
        if slot.inject is not None:
            self._fill(slot, key, admitted)
        elif not slot.learning:
            slot.learning = True
            task = asyncio.create_task(self._learn(slot, key, admitted))
            self._work.add(task)
            task.add_done_callback(self._work.discard)

    def passed_over(self, nodes: Iterable[Node]) -> str:
        """Return the address of a node of this host if there are such, but not the one configured."""
        near = [node.address.address for node in nodes if node.address.address.startswith("unix:")]
        return near[0] if near and self._agent not in near else ""

    def _is_near(self, node_id: str) -> bool:
        node = self._node(node_id)
        return node is not None and node.address.address == self._agent

    def _slot(self, admitted: Admitted) -> Slot | None:
        """Return the slot of the request's grant; ``None`` if all are taken, or too many by one."""
        question, grant = admitted.question, admitted.grant
        slot = self._slots.used.get(question)
        if slot is not None and slot.grant != grant:
            slot.revoke()
            slot = None
        if slot is None and self._slots.free and self._slots.count(grant.user) < MOST_SLOTS:
            slot = Slot(self._slots.free.pop(), question, grant, self._revoked)
            self._slots.used[question] = slot
            self._access.hold(question, grant, slot)
        return slot

    async def _learn(self, slot: Slot, key: bytes, admitted: Admitted) -> None:
        """Ask the node what requests to the app are given; the connection is kept for the next."""
        where = (slot.grant.node, slot.grant.app_id)
        node = self._node(slot.grant.node)
        try:
            if node is not None:
                stream = await self._pool.open(where, node.connect)
                slot.inject, slot.strip = stream.inject, stream.strip
                self._pool.give_back(where, stream)
                self._fill(slot, key, admitted)
        except (AppRefused, AppUnreachable, OSError, TimeoutError):
            pass  # the next request asks again
        finally:
            slot.learning = False

    def _fill(self, slot: Slot, key: bytes, admitted: Admitted) -> None:
        lasts = self._access.lasts(slot.question, slot.grant)
        until = int(time.time() + lasts)
        if slot.revoked or slot.inject is None or until <= time.time():
            return
        value = value_of(admitted, slot.inject, strip=slot.strip, slot=slot.name, until=until)
        if value is None:
            return
        slot.entries[key] = until
        word = escaped(key)
        self.processes.tell(b"del map %b %b" % (MAP, word))
        self.processes.tell(b"add map %b %b %b" % (MAP, word, escaped(value)))

    # --- what is over ----------------------------------------------------------------------------

    def _revoked(self, slot: Slot) -> None:
        """Drop the slot's entries first, then end what is open in it."""
        slot.revoked = True
        self._drop(slot, list(slot.entries))
        self._access.release(slot)
        self._slots.retire(slot)
        slot.unused_since = time.monotonic()
        self._shut(slot)
        asyncio.get_running_loop().call_later(AGAIN, self._shut, slot)

    def _shut(self, slot: Slot) -> None:
        self.processes.shut(slot.name)

    def _drop(self, slot: Slot, keys: list[bytes]) -> None:
        for key in keys:
            del slot.entries[key]
            self.processes.tell_all(b"del map %b %b" % (MAP, escaped(key)))

    def forget_all(self) -> None:
        """The gateway asks anew for everything: so must HAProxy's requests."""
        for slot in self._slots.used.values():
            slot.entries.clear()
        self.processes.tell_all(b"clear map " + MAP)

    async def _sweep(self) -> None:
        """Take out what has expired, and free the slots that nothing is open in."""
        now = time.time()
        for slot in list(self._slots.used.values()):
            self._drop(slot, [key for key, until in slot.entries.items() if until <= now])
            if slot.entries or slot.learning:
                slot.unused_since = time.monotonic()
        used, retired = list(self._slots.used.values()), list(self._slots.retired)
        resting = [
            slot
            for slot in (*used, *retired)
            if not slot.entries and time.monotonic() > slot.unused_since + REST
        ]
        if not resting:
            return
        busy = await self.processes.busy()
        for slot in resting:
            if slot.name not in busy and not slot.entries and not slot.learning:
                self._access.release(slot)
                self._slots.retire(slot)
                self._slots.release(slot)
            elif slot.revoked:
                self._shut(slot)

    async def metrics(self) -> str:
        """Return what HAProxy has counted of what it carried, as Prometheus reads it."""
        try:
            counts = await self.processes.counts()
        except (OSError, TimeoutError):
            counts = {}
        return metrics_text(counts)

    async def stop(self) -> None:
        for task in self._work:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.processes.close()
