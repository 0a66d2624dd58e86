"""Removals of projects: each takes what was there when it was asked for, and nothing newer.

A project's directory is out of its place at once, also for an agent that is killed right after;
what it was set aside as is deleted when nothing runs in it any more, or by the next agent.
"""

import asyncio
import contextlib
import logging
import threading

from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher
from compute_agent.protocol import ProjectSpec
from compute_agent.record import Record
from compute_agent.registry import Registry

_LOOK_AGAIN = 0.1
_log = logging.getLogger(__name__)


class Removal:
    """One removal: ``done`` once the place is free, or ``error`` says why it is not."""

    def __init__(self, project: ProjectSpec, apps: list[Record], before: "Removal | None") -> None:
        self.project = project
        self.apps = apps
        self.before = before
        self.done = asyncio.Event()
        self.error: HostError | None = None

    async def wait(self, cancelled: threading.Event) -> None:
        """Return once the place is free, or the waiting is ``cancelled``. Raises ``HostError``."""
        while not self.done.is_set() and not cancelled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.done.wait(), _LOOK_AGAIN)
        if self.error is not None and not cancelled.is_set():
            raise HostError(
                f"A deleted project of this name could not be removed. {self.error.cause}",
                self.error.mend,
            )


class Removals:
    """The removals that are under way or did not come to their end, by project."""

    def __init__(self, launcher: Launcher, registry: Registry) -> None:
        self._launcher = launcher
        self._registry = registry
        self._latest: dict[tuple[str, str], Removal] = {}
        # One deletion at a time, so that many leave disk and threads to launches.
        self._deleting = asyncio.Lock()

    def new(self, project: ProjectSpec, apps: list[Record]) -> Removal:
        """Begin a removal that takes ``apps``; ``carry_out`` does it."""
        removal = Removal(project, apps, self.of(project))
        self._latest[_key(project)] = removal
        return removal

    def of(self, project: ProjectSpec) -> Removal | None:
        """Return the removal that a new launch in the project has to wait for."""
        return self._latest.get(_key(project))

    async def carry_out(self, removal: Removal) -> str:
        """Take the project away. Raises ``HostError``; then its name stays closed to launches."""
        projects, project = self._launcher.projects, removal.project
        try:
            if removal.before is not None:
                await removal.before.done.wait()
                removal.before = None
            await asyncio.to_thread(projects.set_aside, project)
            await self._launcher.passes.end(project)
            await self._until_over(removal.apps)
            async with self._launcher.lock(project):
                # Once more: a launch that was just being prepared may have made it again.
                await asyncio.to_thread(projects.set_aside, project)
        except HostError as error:
            removal.error = error
            raise
        else:
            if self._latest.get(_key(project)) is removal:
                del self._latest[_key(project)]
        finally:
            removal.done.set()
        async with self._deleting:
            await asyncio.to_thread(projects.delete_set_aside, project.owner)
        return "done"

    async def delete_leftovers(self) -> None:
        """Delete what an agent that was killed had only set aside."""
        projects = self._launcher.projects
        async with self._deleting:
            for owner in await asyncio.to_thread(projects.owners):
                try:
                    await asyncio.to_thread(projects.delete_set_aside, owner)
                except HostError as error:
                    _log.warning("removed projects of %s: %s", owner, error.cause)

    async def _until_over(self, apps: list[Record]) -> None:
        with self._registry.subscribed() as changes:
            while not all(app.is_over for app in apps):
                await changes.next(1.0)


def _key(project: ProjectSpec) -> tuple[str, str]:
    return project.owner, project.name
