"""Looks now and then how much disk the projects take whose apps run, one after the other."""

import asyncio
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from compute_agent.host import disk
from compute_agent.host.directories import project_directory
from compute_agent.protocol import ProjectSpec
from compute_agent.record import Record

#: Seconds between two looks at a project.
_EVERY = 3600.0


class Disks:
    """Everything but the counting runs in the event loop's thread."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._last: dict[tuple[str, str], float] = {}
        self._counting = False
        self._cancelled = threading.Event()

    def due(self, apps: Iterable[Record]) -> ProjectSpec | None:
        """Return a project to look at now; none while another is being looked at."""
        now = time.monotonic()
        self._last = {key: at for key, at in self._last.items() if now - at < _EVERY}
        if self._counting:
            return None
        running = (app.launch.project for app in apps if app.launch and app.state == "running")
        return next((spec for spec in running if (spec.owner, spec.name) not in self._last), None)

    async def used(self, project: ProjectSpec) -> int | None:
        """Return the bytes that the project takes, ``None`` where that can't be found out."""
        self._counting = True
        self._last[project.owner, project.name] = time.monotonic()
        try:
            return await asyncio.to_thread(self._count, project)
        except (OSError, disk.Cancelled):
            return None
        finally:
            self._counting = False

    def release(self) -> None:
        """End what is being counted."""
        self._cancelled.set()

    def _count(self, project: ProjectSpec) -> int:
        with project_directory(self._root, project.owner, project.name) as fd:
            return disk.used(fd, self._cancelled)
