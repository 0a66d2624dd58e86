"""All apps of the node: takes commands, keeps records, reports changes, finds apps again.

Commands are idempotent by app id. An app is over only when its runner is gone, and a runner goes
only when no process of its app is left.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import msgspec

from compute_agent import appdir, record, runners
from compute_agent.applog import Tail, last_meaningful
from compute_agent.catalog import Catalog
from compute_agent.config import Config
from compute_agent.host import process
from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher, Stopped, describe_exit
from compute_agent.protocol import (
    AppStatus,
    Command,
    Forget,
    Launch,
    ProjectSpec,
    RemoveProject,
    SecureProject,
    Stop,
)
from compute_agent.record import Record, Stored

#: Changes of one app within this many seconds are reported as one.
COALESCE = 0.05
#: How long an ended app is kept for a server that never says ``Forget``, in seconds.
KEEP_ENDED = 24 * 3600.0
_LOOK_AT_OUTPUT = 0.25
_LOOK_AT_MEMORY = 5.0
_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A command that the node does not take: ``code`` for programs, the text for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Subscriber:
    """One reader of changes. However slow it is, each app waits for it at most once."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._event = asyncio.Event()

    def tell(self, app_id: str) -> None:
        self._waiting[app_id] = None
        self._event.set()

    async def next(self, patience: float) -> list[str]:
        """Return the apps that changed; an empty list after ``patience`` seconds of quiet."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), patience)
        self._event.clear()
        changed = list(self._waiting)
        self._waiting.clear()
        return changed


class Supervisor:
    """The node's apps. Everything here runs in the event loop's thread."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self._directory = Path(config.run_dir)
        self._launcher = Launcher(config, catalog)
        self.catalog = catalog
        self._records: dict[str, Record] = {}
        self._runners: dict[str, runners.Runner] = {}
        self._cancelled: dict[str, threading.Event] = {}
        self._forgotten: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._dirty: dict[str, Record] = {}
        self._subscribers: set[Subscriber] = set()
        self.problems: dict[str, str] = {}

    # --- commands ---

    def take(self, command: Command) -> None:
        """Begin to carry out ``command``. Raises ``Refusal`` for one that never will be."""
        match command:
            case Launch():
                self._launch(command)
            case Stop():
                self._stop(command.app_id)
            case Forget():
                self._forget(command.app_id)
            case SecureProject():
                self._begin(self._secure(command.project))
            case RemoveProject():
                self._begin(self._remove(command.project))

    def _launch(self, launch: Launch) -> None:
        known = self._records.get(launch.app_id)
        if known is not None and known.launch is not None:
            self._changed(known)
            return
        if known is not None or launch.app_id in self._forgotten:
            raise Refusal("stopped", "This app was stopped before its launch arrived.")
        try:
            self._launcher.descriptor(launch.app)
        except HostError as error:
            raise Refusal("unknown_app", error.cause) from None
        new = self._new_record(Stored(AppStatus(launch.app_id, 0, "preparing"), launch))
        self._begin(self._run(new))

    def _stop(self, app_id: str) -> None:
        known = self._records.get(app_id)
        if known is None:
            if app_id not in self._forgotten:
                tombstone = AppStatus(app_id, 0, "stopped")
                self._new_record(Stored(tombstone, ended=time.time()))
            return
        if known.is_over or known.stopping:
            self._changed(known)
            return
        known.stopping = True
        known.enter("stopping")
        known.say("stop", "asked to end")
        known.save()
        self._cancelled[app_id].set()
        if app_id in self._runners:
            self._runners[app_id].stop()

    def _forget(self, app_id: str) -> None:
        known = self._records.get(app_id)
        if known is None:
            return
        if not known.is_over:
            raise Refusal("not_over", "An app that still runs cannot be forgotten.")
        del self._records[app_id]
        self._dirty.pop(app_id, None)
        self._forgotten[app_id] = time.time()
        shutil.rmtree(known.directory, ignore_errors=True)

    async def _secure(self, project: ProjectSpec) -> None:
        name = f"{project.owner}/{project.name}"
        try:
            async with self._launcher.lock(project):
                projects, never = self._launcher.projects, threading.Event()
                fact = await asyncio.to_thread(projects.secure, project, never)
        except HostError as error:
            _log.error("permissions of %s: %s", name, error.cause)
            self.problems[name] = f"Permissions of {name}: {error.cause} {error.mend}".strip()
        else:
            _log.info("permissions of %s: %s", name, fact)
            self.problems.pop(name, None)

    async def _remove(self, project: ProjectSpec) -> None:
        name = f"{project.owner}/{project.name}"
        await self.stop_all(lambda launch: launch.project.owner == project.owner
                            and launch.project.name == project.name)  # fmt: skip
        try:
            async with self._launcher.lock(project):
                await asyncio.to_thread(self._launcher.projects.remove, project)
        except HostError as error:
            _log.error("removing %s: %s", name, error.cause)
            self.problems[name] = f"Removing {name}: {error.cause} {error.mend}".strip()
        else:
            _log.info("removed %s", name)
            self.problems.pop(name, None)

    async def stop_all(self, wanted: Callable[[Launch], bool]) -> None:
        """Stop the apps whose launch is ``wanted`` and return once they are over."""
        with self.subscribed() as changes:
            while True:
                live = [r for r in self._live() if r.launch is not None and wanted(r.launch)]
                if not live:
                    return
                for known in live:
                    self._stop(known.app_id)
                await changes.next(1.0)

    # --- one app from its launch to its end ---

    async def _run(self, app: Record) -> None:
        cancelled = self._cancelled.setdefault(app.app_id, threading.Event())
        try:
            runner = await self._launcher.launch(app, cancelled)
        except Stopped:
            app.end("stopped")
        except HostError as error:
            self._fail(app, error)
        else:
            await self._watch(app, runner)

    async def _watch(self, app: Record, runner: runners.Runner) -> None:
        """Stay with a started app until it is over."""
        self._runners[app.app_id] = runner
        if app.stopping:
            runner.stop()
        failure = None
        if app.state == "starting" and not app.stopping:
            failure = await self._wait_until_ready(app, runner)
        await runner.ended.wait()
        del self._runners[app.app_id]
        await self._conclude(app, failure)

    async def _wait_until_ready(self, app: Record, runner: runners.Runner) -> HostError | None:
        try:
            await self._launcher.wait_until_ready(app, runner)
        except HostError as error:
            runner.stop()
            return error
        if not app.stopping:
            app.enter("running")
            _log.info("app %s runs", app.app_id)
        return None

    async def _conclude(self, app: Record, failure: HostError | None) -> None:
        """Say how an app whose runner is gone ended, after nothing of it is left."""
        ended = runners.read_exit(app.directory)
        if ended is None:
            await asyncio.to_thread(_sweep, app)
        app.read_output(final=True)
        shutil.rmtree(app.directory / appdir.USER, ignore_errors=True)
        (app.directory / "token").unlink(missing_ok=True)
        code = None if ended is None else ended.code
        if app.stopping:
            app.end("stopped", code=code)
        elif failure is not None:
            self._fail(app, failure, code)
        elif ended is not None and ended.code == 0:
            app.end("stopped", code=0)
        else:
            self._fail(app, self._why_ended(app, ended), code)
        _log.info("app %s is over: %s", app.app_id, app.state)

    def _why_ended(self, app: Record, ended: runners.Exit | None) -> HostError:
        title = self._title(app)
        mend = "Start it again; files that were saved are there."
        if ended is None:
            return HostError(f"{title} was ended from outside AEN.", mend)
        if ended.signal == signal.SIGKILL:
            return HostError(
                f"{title} was killed, by the system for lack of memory or by an administrator.",
                mend,
            )
        said = last_meaningful(app.output_lines)
        return HostError(f"{title} ended by itself ({describe_exit(ended)}): {said}", mend)

    def _title(self, app: Record) -> str:
        name = app.launch.app if app.launch else "app"
        descriptor = self.catalog.apps.get(name)
        return descriptor.title if descriptor else f"The app {name}"

    def _fail(self, app: Record, error: HostError, code: int | None = None) -> None:
        if app.stopping:
            app.end("stopped", code=code)
            return
        _log.warning("app %s failed: %s", app.app_id, error.cause)
        app.end("failed", error.cause, error.mend, code)

    # --- after a restart of the agent ---

    def adopt(self) -> None:
        """Find the apps that an earlier agent left, and go on where it ended."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        for place in sorted(self._directory.iterdir()):
            if (place / "record.json").is_file():
                try:
                    known = record.read(place, self._changed)
                except (OSError, msgspec.MsgspecError) as error:
                    _log.error("the record in %s cannot be read: %s", place, error)
                    continue
                self._records[known.app_id] = known
                self._resume(known)

    def _resume(self, app: Record) -> None:
        app.publish()
        if app.is_over:
            return
        cancelled = self._cancelled[app.app_id] = threading.Event()
        if app.stopping:
            cancelled.set()
        runner = runners.adopt(app.runner, app.directory)
        if runner is not None:
            app.tail = Tail(app.directory / "log", app.token)
            app.tail.skip()
            app.say("agent", "found the app again after a restart of the node's agent")
            _log.info("app %s adopted", app.app_id)
            self._begin(self._watch(app, runner))
        elif app.state == "preparing" or (app.runner is None and not app.stopping):
            # Every step can be repeated.
            app.forget_steps()
            shutil.rmtree(app.directory / appdir.USER, ignore_errors=True)
            self._begin(self._run(app))
        else:
            self._begin(self._conclude(app, None))

    # --- records and changes ---

    def _new_record(self, stored: Stored) -> Record:
        app_id = stored.status.app_id
        place = self._directory / app_id[:12]
        if place.exists():
            raise Refusal("id_taken", "Another app with an id that begins alike is known here.")
        place.mkdir(mode=0o711)
        new = Record(stored, place, self._changed)
        self._records[app_id] = new
        self._cancelled[app_id] = threading.Event()
        new.publish()
        self._tell(app_id)
        return new

    def _changed(self, app: Record) -> None:
        if not self._dirty:
            asyncio.get_running_loop().call_later(COALESCE, self._flush)
        self._dirty[app.app_id] = app

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for app_id, app in dirty.items():
            try:
                app.publish()
            except OSError as error:
                _log.error("the record of %s cannot be written: %s", app_id, error)
            self._tell(app_id)

    def _tell(self, app_id: str) -> None:
        for subscriber in self._subscribers:
            subscriber.tell(app_id)

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscriber]:
        """Hear of every change while the block lasts."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def find(self, app_id: str) -> Record | None:
        return self._records.get(app_id)

    @property
    def app_ids(self) -> tuple[str, ...]:
        return tuple(self._records)

    def _live(self) -> list[Record]:
        return [known for known in self._records.values() if not known.is_over]

    # --- what has to be looked at again and again ---

    async def look_after(self) -> None:
        """Read outputs and memory, and drop what is too old, for as long as the agent runs."""
        last_memory = 0.0
        while True:
            await asyncio.sleep(_LOOK_AT_OUTPUT)
            for app in self._live():
                app.read_output()
            if time.monotonic() - last_memory > _LOOK_AT_MEMORY:
                last_memory = time.monotonic()
                self._measure()
                self._drop_old()

    def _measure(self) -> None:
        if not self._runners:
            return
        stats = process.all_stats()
        for app_id, runner in self._runners.items():
            below = process.descendants(runner.identity.pid, stats)
            self._records[app_id].set_memory(sum(stat.memory for stat in below))

    def _drop_old(self) -> None:
        limit = time.time() - KEEP_ENDED
        for known in list(self._records.values()):
            if known.is_over and (known.ended or 0) < limit:
                self._forget(known.app_id)
        for app_id, when in list(self._forgotten.items()):
            if when < limit:
                del self._forgotten[app_id]

    # --- tasks ---

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task of the node failed", exc_info=task.exception())

    def release(self) -> None:
        """Let go of everything; apps go on without the agent."""
        for task in self._tasks:
            task.cancel()
        for runner in self._runners.values():
            runner.release()


def _sweep(app: Record) -> None:
    """Kill what is left of an app whose runner was killed."""
    marker = f"AEN_APP_ID={app.app_id}"
    while left := process.marked(marker, app.uid):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
