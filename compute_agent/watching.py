"""What is done about a change of rights that the node hears of: when, and how often at most.

A thread of its own listens, because a busy file system must not hold up the event loop, in which
the bytes of apps are carried. It tells the loop which projects were touched; the loop asks for
them to be set right.
"""

import asyncio
import logging
import os
import select
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from compute_agent.host.errors import HostError, explain
from compute_agent.host.watch import Changes, Watch
from compute_agent.passes import Passes
from compute_agent.protocol import ProjectSpec

#: Seconds in which changes are gathered before the first look at them.
GATHER = 0.05
#: How long a project is left alone afterwards, in multiples of the time that it took.
REST = 3.0
#: So many projects are set right at the same time.
_AT_ONCE = 2
#: Of more places than this it is quicker to look at the whole project.
_MOST_PLACES = 200
_log = logging.getLogger(__name__)

#: A project's owner and name, as its directory has them.
Project = tuple[str, str]
#: Paths below a project's directory, or ``None`` for all of it.
Places = frozenset[str] | None
Heal = Callable[[Project, Places], Awaitable[None]]


class Healing:
    """Asks for projects to be set right: soon, one time for many changes, and never too often.

    ``heal`` returns when it is done; ``known`` gives the projects of the node. All of it runs in
    the event loop's thread.
    """

    def __init__(self, heal: Heal, known: Callable[[], Iterable[Project]]) -> None:
        self._heal = heal
        self._known = known
        self._touched: dict[Project, Places] = {}
        self._not_before: dict[Project, float] = {}
        self._tasks: dict[Project, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)

    def touched(self, places: dict[Project, frozenset[str]]) -> None:
        """Have these places set right; those of projects that are not known are passed over."""
        known = frozenset(self._known()) if places else frozenset()
        for project in places.keys() & known:
            self._note(project, places[project])

    def lost(self) -> None:
        """Have all projects set right, since nobody knows which were touched."""
        for project in self._known():
            self._note(project, None)

    def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _note(self, project: Project, places: Places) -> None:
        self._touched[project] = _together(self._touched.get(project, frozenset()), places)
        if project not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._see_to(project))
            self._tasks[project] = task

    async def _see_to(self, project: Project) -> None:
        """Set the project right until nothing more was touched meanwhile."""
        now = asyncio.get_running_loop().time
        try:
            while project in self._touched:
                await asyncio.sleep(self._not_before.pop(project, 0.0) - now())
                async with self._room:
                    places = self._touched.pop(project)
                    begun = now()
                    await self._heal_one(project, places)
                    self._not_before[project] = now() + REST * (now() - begun)
        finally:
            del self._tasks[project]

    async def _heal_one(self, project: Project, places: Places) -> None:
        try:
            await self._heal(project, places)
        except Exception:
            _log.exception("%s/%s could not be set right", *project)


def _together(one: Places, other: Places) -> Places:
    """Return the places of both, or ``None`` for all where they are many or all is among them."""
    if one is None or other is None:
        return None
    both = one | other
    return None if len(both) > _MOST_PLACES or "" in both else both


class Watcher:
    """Listens in a thread of its own, and tells ``healing`` in the event loop's.

    ``failed`` is told in the event loop's thread, with a sentence, when listening ends by itself.
    """

    def __init__(self, watch: Watch, healing: Healing, failed: Callable[[str], None]) -> None:
        self._watch = watch
        self._healing = healing
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._ending = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End listening and what is under way because of it."""
        os.eventfd_write(self._ending, 1)
        self._thread.join()
        self._healing.stop()
        self._watch.close()
        os.close(self._ending)

    def _run(self) -> None:
        try:
            while not self._is_ending(None):
                if self._is_ending(GATHER):
                    break
                self._tell(self._watch.read())
        except Exception as error:
            _log.exception("watching ended")
            self._later(self._failed, f"Watching for changes of permissions ended: {error}")

    def _is_ending(self, seconds: float | None) -> bool:
        """Wait for so long, or for the next change; say whether it is time to end."""
        waiting = select.poll()
        waiting.register(self._ending, select.POLLIN)
        if seconds is None:
            waiting.register(self._watch, select.POLLIN)
        ready = waiting.poll(None if seconds is None else seconds * 1000)
        return any(fd == self._ending for fd, _ in ready)

    def _tell(self, changes: Changes) -> None:
        if changes.lost:
            _log.warning("more changed below the projects than the kernel tells; all is looked at")
            self._later(self._healing.lost)
        elif places := by_project(changes.paths):
            self._later(self._healing.touched, places)

    def _later(self, do: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(do, *arguments)
        except RuntimeError:  # the loop is closed
            _log.debug("nobody is there to be told of changes any more")


def by_project(paths: Iterable[str]) -> dict[Project, frozenset[str]]:
    """Return the changed places by project; what lies beside projects is left out."""
    found: dict[Project, set[str]] = {}
    for path in paths:
        owner, _, below = path.partition("/")
        name, _, place = below.partition("/")
        if name and not owner.startswith(".") and not name.startswith("."):
            found.setdefault((owner, name), set()).add(place)
    return {project: frozenset(places) for project, places in found.items()}


def begin(root: Path, healing: Healing, failed: Callable[[str], None]) -> Watcher:
    """Start to watch the projects below ``root``, which is made if it is missing.

    Raises ``HostError`` where that cannot be done.
    """
    try:
        root.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, "make the directory of projects", root) from error
    return Watcher(Watch(root), healing, failed)


def begin_for(
    root: Path,
    passes: Passes,
    lock: Callable[[ProjectSpec], asyncio.Lock],
    failed: Callable[[str], None],
) -> Watcher | None:
    """Watch for ``passes``; where that cannot be done, tell ``failed`` why and go on without."""

    async def heal(project: Project, places: Places) -> None:
        spec = passes.known().get(project)
        if spec is not None:
            await passes.again(spec, places, lock(spec))

    try:
        return begin(root, Healing(heal, passes.known), failed)
    except HostError as error:
        failed(f"{error.cause} {error.mend}".strip())
        return None
