"""HAProxy's processes: the newest, which takes connections, and older ones that end theirs.

A reload begins a process and lets the one before it go on with what is open. So a connection is
kept to each: revocations concern them all, new grants only the newest.
"""

import asyncio
import contextlib
import csv
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from .past import Past
from .runtime import Runtime

log = logging.getLogger("gateway.haproxy")

#: The map's name: HAProxy reads it at its start, and it is to be empty then.
MAP = b"/dev/null"
#: How the names of the backends begin that are slots.
SLOT = "aen-slot-"
_SESSION = re.compile(rf"^(0x[0-9a-f]+): .* be=({SLOT}[0-9]+) ", re.MULTILINE)


class Processes:
    """Follows which processes there are, and speaks to them."""

    def __init__(self, path: str, begun: Callable[[list[str]], None]) -> None:
        self._path = path
        self._begun = begun
        self._known: dict[str, Runtime] = {}
        self.newest: Runtime | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._idle: set[str] = set()
        self._past = Past(Path(path).with_suffix(".processes"))
        self.cause = "not connected yet"

    async def follow(self) -> None:
        """Look which process answers; take up a new one. Raises ``OSError`` or ``TimeoutError``."""
        for pid, runtime in list(self._known.items()):
            if runtime.closed:
                del self._known[pid]
                if runtime is not self.newest:
                    self._past.end([pid])  # if it still lives, out of our reach
        if self.newest is not None and self.newest.closed:
            self.newest = None
        await self._let_go()
        runtime = await Runtime.connect(self._path)
        try:
            pid = _field(await runtime.ask(b"show info"), "Pid")
            if pid not in self._known:
                await self._take_up(pid, runtime)
        finally:
            if runtime is not self.newest:
                runtime.close()

    async def _take_up(self, pid: str, runtime: Runtime) -> None:
        """Begin with an empty map and nothing open, whatever a gateway before us left there."""
        names = [
            line for line in (await runtime.ask(b"show backend")).split() if line.startswith(SLOT)
        ]
        self.tell_all(b"clear map " + MAP)
        runtime.say(b"clear map " + MAP)
        for name in names:
            runtime.say(b"shutdown sessions server %b/app" % name.encode())
        await runtime.ask(b"show info")  # all is done when this is answered
        self._past.end([one for one in self._past.processes() if one not in (pid, *self._known)])
        self._past.keep([pid, *self._known])
        self._known[pid] = self.newest = runtime
        self.cause = ""
        log.info("HAProxy (process %s) has %d slots.", pid, len(names))
        self._begun(names)

    async def _let_go(self) -> None:
        """Leave older processes that carry nothing: they end when nobody speaks to them any more.

        Being asked is a sign of life, too, without which a process ends a connection after a day.
        """
        if self.newest is not None:
            self.newest.say(b"show version")
        for pid, runtime in list(self._known.items()):
            if runtime is self.newest:
                continue
            with contextlib.suppress(OSError, TimeoutError):
                idle = not await _sessions(runtime)
                if idle and pid in self._idle:  # twice, since something may have been on its way
                    self._past.keep([one for one in self._known if one != pid])
                    del self._known[pid]
                    runtime.close()
                self._idle = self._idle | {pid} if idle else self._idle - {pid}
        self._idle &= self._known.keys()

    def lost(self, cause: str) -> None:
        """Note that HAProxy does not answer."""
        if cause != self.cause:
            log.warning("HAProxy cannot be told what is granted: %s", cause)
        self.cause = cause

    def tell(self, command: bytes) -> None:
        """Send a command to the newest process."""
        if self.newest is not None:
            self.newest.say(command)

    def tell_all(self, command: bytes) -> None:
        for runtime in self._known.values():
            runtime.say(command)

    def shut(self, slot: str) -> None:
        """End what is open in a slot, in every process."""
        self.tell(b"shutdown sessions server %b/app" % slot.encode())
        for runtime in self._older():
            task = asyncio.create_task(_shut_one_by_one(runtime, slot))
            self._work.add(task)
            task.add_done_callback(self._work.discard)

    def _older(self) -> list[Runtime]:
        return [runtime for runtime in self._known.values() if runtime is not self.newest]

    async def busy(self) -> set[str]:
        """Return the names of slots in which something is open, in any process."""
        found: set[str] = set()
        if self.newest is not None:
            rows = _rows(await self.newest.ask(b"show stat -1 2 -1"))
            found = {row["pxname"] for row in rows if row["scur"] != "0"}
        for runtime in self._older():
            found |= set((await _sessions(runtime)).values())
        return found

    async def counts(self) -> dict[str, int]:
        """Return sums over all slots of the newest process, by the names of HAProxy's columns."""
        sums: dict[str, int] = {}
        if self.newest is None:
            return sums
        for row in _rows(await self.newest.ask(b"show stat -1 2 -1")):
            if row["pxname"].startswith(SLOT):
                for column in COUNTED:
                    sums[column] = sums.get(column, 0) + int(row[column] or 0)
        return sums

    def close(self) -> None:
        """Leave the newest process, and end the others: nobody could reach them later."""
        self._past.end([pid for pid, runtime in self._known.items() if runtime is not self.newest])
        for runtime in self._known.values():
            runtime.close()


#: Columns of HAProxy's statistics that the metrics are made of.
COUNTED = (
    *("scur", "bin", "bout", "econ"),
    *("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx"),
)


# A process that ends what it has takes its backends for disabled: it neither shows their numbers nor
# shuts all of one at once. Sessions it does show, and shuts one by one.


async def _sessions(runtime: Runtime) -> dict[str, str]:
    """Return the ids of sessions in slots, each with the slot's name."""
    return dict(_SESSION.findall(await runtime.ask(b"show sess")))


async def _shut_one_by_one(runtime: Runtime, slot: str) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        for session, place in (await _sessions(runtime)).items():
            if place == slot:
                runtime.say(b"shutdown session %b" % session.encode())


def _field(text: str, name: str) -> str:
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    raise ValueError(f"HAProxy does not say its {name}.")


def _rows(text: str) -> Iterator[dict[str, str]]:
    return csv.DictReader(text.removeprefix("# ").splitlines())
