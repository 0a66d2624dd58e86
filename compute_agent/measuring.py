"""What has to be looked at again and again: output, use of the machine, the ports of apps."""

import asyncio
import logging
import time
from pathlib import Path

from compute_agent.activity import Activity
from compute_agent.catalog import Catalog
from compute_agent.config import Config
from compute_agent.disks import Disks
from compute_agent.host import process
from compute_agent.host.cgroups import Usage
from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher
from compute_agent.lifetimes import Lifetimes
from compute_agent.project_work import is_in
from compute_agent.protocol import ProjectSpec
from compute_agent.record import Record
from compute_agent.registry import Registry
from compute_agent.tasks import Tasks

_LOOK_AT_OUTPUT = 0.25
#: Each app's use is looked at once in so many seconds, a part of the apps at a time: all at once
#: would keep everybody's connections waiting.
_LOOK_AT_USE = 5.0
_log = logging.getLogger(__name__)


class Measuring:
    """Looks for as long as the agent runs."""

    def __init__(
        self,
        *,
        config: Config,
        catalog: Catalog,
        launcher: Launcher,
        registry: Registry,
        lifetimes: Lifetimes,
        tasks: Tasks,
    ) -> None:
        self._launcher = launcher
        self._registry = registry
        self._lifetimes = lifetimes
        self._tasks = tasks
        self._activity = Activity(catalog)
        self._disks = Disks(Path(config.project_root))
        self._stats: list[process.Stat] = []

    async def go_on(self) -> None:
        last = 0.0
        while True:
            await asyncio.sleep(_LOOK_AT_OUTPUT)
            for app in self._registry.live:
                app.read_output()
            self._measure(time.monotonic())
            if time.monotonic() - last > _LOOK_AT_USE:
                last = time.monotonic()
                self._registry.drop_old()
                self._look_at_disks()
                await self._keep_ports_closed()

    def release(self) -> None:
        self._disks.release()

    # --- parts ---

    async def _keep_ports_closed(self) -> None:
        """See to it that the machine's packet filter still closes the ports of apps."""
        try:
            await asyncio.to_thread(self._launcher.confinement.ports.renew)
        except HostError as error:
            _log.warning("%s", error.cause)

    def _measure(self, now: float) -> None:
        """Note what those apps use whose turn it is."""
        self._stats = []
        running = list(self._lifetimes.runners)
        turns = max(1, round(_LOOK_AT_USE / _LOOK_AT_OUTPUT))
        due = [app for app in map(self._registry.find, running) if app and app.measure_at <= now]
        for app in due[: -(-len(running) // turns)]:
            app.measure_at = now + _LOOK_AT_USE
            self._activity.note(app, app.note_usage(self._usage(app), now))
            if self._activity.is_due(app):
                self._tasks.begin(self._activity.ask(app))

    def _usage(self, app: Record) -> Usage:
        """Return what the app uses; by its processes where no group counts for it."""
        usage = self._launcher.confinement.usage(app.directory.name, app.uid)
        if usage is not None:
            return usage
        self._stats = self._stats or process.all_stats()
        runner = self._lifetimes.runners[app.app_id]
        below = process.descendants(runner.identity.pid, self._stats)
        return Usage(memory=sum(stat.memory for stat in below), cpu=sum(s.cpu for s in below))

    def _look_at_disks(self) -> None:
        if project := self._disks.due(self._registry.live):
            self._tasks.begin(self._note_disk(project))

    async def _note_disk(self, project: ProjectSpec) -> None:
        used = await self._disks.used(project)
        for app in self._registry.live:
            if used is not None and is_in(app.launch, project):
                app.note_project_disk(used)
