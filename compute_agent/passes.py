"""When permissions are applied: what a launch needs first, the rest while the app already starts.

There is at most one pass of a project at a time. A newer team ends the pass of an older one.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Protocol

from compute_agent.host.errors import HostError
from compute_agent.host.permissions import Cancelled
from compute_agent.project import Projects
from compute_agent.project_pass import ProjectPass
from compute_agent.protocol import ProjectSpec
from compute_agent.specs import Specs

#: What a launch waits for at most, in seconds; the rest of a big tree follows in the background.
FIRST = 0.5
#: After so long a whole pass is begun in place of one over what was touched, in seconds.
PARTS = 0.5
_log = logging.getLogger(__name__)


class Tell(Protocol):
    """Takes how a pass ended. ``error`` is ``None`` where all went right; ``later`` says that a
    launch did not wait for it."""

    def __call__(
        self, project: ProjectSpec, fact: str, error: HostError | None, later: bool
    ) -> None: ...


class Passes:
    """The passes of all projects. Everything here runs in the event loop's thread."""

    def __init__(self, projects: Projects, specs: Specs, tell: Tell) -> None:
        self._projects = projects
        self._specs = specs
        self._tell = tell
        self._under_way: dict[tuple[str, str], _UnderWay] = {}

    async def first(self, project: ProjectSpec) -> str:
        """Apply what a person needs to begin, and leave the rest to the background.

        Returns what was done, in words. Raises ``HostError``.
        """
        spec = self._specs.newest(project)
        await self._end_older(spec)
        known = self._specs.known_tree(spec)
        begun = await asyncio.to_thread(self._projects.begin_pass, spec, known)
        if begun is None:
            self._specs.settle(spec)
            return "no directory yet"
        try:
            done = await asyncio.to_thread(begun.first, FIRST)
        except BaseException:
            begun.close()
            raise
        if done:
            begun.close()
            self._specs.settle(spec)
            return str(begun.outcome)
        return f"{begun.looked_at:,} entries so far; {self._go_on(spec, begun)}"

    async def whole(self, project: ProjectSpec, lock: asyncio.Lock) -> None:
        """Apply everything and tell how it ended; only the beginning needs the project's lock."""
        try:
            async with lock:
                fact = await self.first(project)
        except HostError as error:
            self._tell(project, "", error, False)
        else:
            await self._to_the_end(project, fact)

    async def again(
        self, project: ProjectSpec, places: frozenset[str] | None, lock: asyncio.Lock
    ) -> None:
        """Set right what a program changed: these places, or all if ``places`` is ``None``.

        The team is the one that is known when the lock is had, since a newer one comes after it;
        nothing is done for a project that was removed meanwhile.
        """
        try:
            async with lock:
                newest = self.known().get(_key(project))
                if newest is not None and places and await self._parts(newest, places):
                    return
                newest = self.known().get(_key(project))  # forgetting needs no lock
                if newest is None:
                    return
                fact = await self.first(newest)
        except HostError as error:
            self._tell(project, "", error, False)
        else:
            await self._to_the_end(project, fact)

    async def _parts(self, spec: ProjectSpec, places: frozenset[str]) -> bool:
        return await asyncio.to_thread(self._projects.secure_parts, spec, places, PARTS)

    async def _to_the_end(self, project: ProjectSpec, fact: str) -> None:
        """Wait for what is under way, and tell how it ended."""
        under_way = self._under_way.get(_key(project))
        if under_way is None:
            self._tell(project, fact, None, False)
        else:
            await under_way.ended()

    def known(self) -> dict[tuple[str, str], ProjectSpec]:
        """Return the projects that this node was told of, by owner and name."""
        return {_key(spec): spec for spec in self._specs.known()}

    def unsettled(self) -> list[ProjectSpec]:
        """Return the projects that an earlier agent did not come to the end of."""
        return self._specs.unsettled()

    def release(self) -> None:
        """Let go of what is under way: the next agent begins it again."""
        for under_way in self._under_way.values():
            under_way.cancelled.set()

    async def end(self, project: ProjectSpec) -> None:
        """End what is under way in a project that is being removed, and forget the project."""
        under_way = self._under_way.get(_key(project))
        if under_way is not None:
            await under_way.cancel()
        self._specs.forget(project)

    # --- parts ---

    async def _end_older(self, spec: ProjectSpec) -> None:
        under_way = self._under_way.get(_key(spec))
        if under_way is not None and under_way.spec != spec:
            await under_way.cancel()

    def _go_on(self, spec: ProjectSpec, begun: ProjectPass) -> str:
        """See to the rest, unless that is under way already. Return a word on it."""
        if _key(spec) in self._under_way:
            begun.close()
            return "the rest is under way"
        self._under_way[_key(spec)] = _UnderWay(spec, begun, self._ended)
        return "the rest goes on in the background"

    def _ended(self, under_way: "_UnderWay", error: HostError | None) -> None:
        spec = under_way.spec
        del self._under_way[_key(spec)]
        if under_way.cancelled.is_set():
            return
        if error is None:
            self._specs.settle(spec)
        self._tell(spec, str(under_way.work.outcome), error, True)


class _UnderWay:
    """The rest of a pass, in a thread of its own."""

    def __init__(
        self,
        spec: ProjectSpec,
        work: ProjectPass,
        ended: Callable[["_UnderWay", HostError | None], None],
    ) -> None:
        self.spec = spec
        self.work = work
        self.cancelled = threading.Event()
        self._task = asyncio.get_running_loop().create_task(self._run(ended))

    async def cancel(self) -> None:
        self.cancelled.set()
        await self.ended()

    async def ended(self) -> None:
        """Return once it came to its end, whoever stops waiting for that."""
        await asyncio.shield(self._task)

    async def _run(self, ended: Callable[["_UnderWay", HostError | None], None]) -> None:
        failure: HostError | None = None
        try:
            with contextlib.suppress(Cancelled):
                await asyncio.to_thread(self.work.rest, self.cancelled)
        except HostError as error:
            failure = error
        except Exception:
            _log.exception("a pass failed")
            failure = HostError(
                "The permissions could not be applied to all files.",
                "An administrator can look into the node's log.",
            )
        finally:
            self.work.close()
            ended(self, failure)


def _key(project: ProjectSpec) -> tuple[str, str]:
    return project.owner, project.name
