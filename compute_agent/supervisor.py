"""Takes commands and stays with each app from its launch to its end.

Commands are idempotent by app id. An app is over only when its runner is gone, and a runner goes
only when no process of its app is left.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path

from compute_agent import appdir, endings, runners, watching
from compute_agent.activity import Activity
from compute_agent.applog import Tail
from compute_agent.catalog import Catalog
from compute_agent.config import Config
from compute_agent.disks import Disks
from compute_agent.environments import changing
from compute_agent.host import process
from compute_agent.host.cgroups import Usage
from compute_agent.host.errors import HostError, explain
from compute_agent.launch import Launcher, Stopped
from compute_agent.protocol import (
    AppStatus,
    Command,
    Explain,
    FindEnvironments,
    Forget,
    Launch,
    ProjectSpec,
    Question,
    RemoveProject,
    SecureProject,
    Stop,
)
from compute_agent.questions import Questions
from compute_agent.record import Record, Stored
from compute_agent.registry import Registry
from compute_agent.removals import Removal, Removals

_LOOK_AT_OUTPUT = 0.25
_LOOK_AT_MEMORY = 5.0
_UNFORESEEN = (
    "The node met an error that it does not know.",
    "An administrator can look into the node's log, where it is written down.",
)
_log = logging.getLogger(__name__)


class Declined(Exception):
    """A command that the node does not take: ``code`` for programs, the text for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Supervisor:
    """The node's apps. Everything here runs in the event loop's thread."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self.catalog = catalog
        self._config = config
        self._run_dir = Path(config.run_dir)
        self.registry = Registry(self._run_dir)
        #: What went wrong with a project, by its name, until it went right.
        self.problems: dict[str, str] = {}
        self._launcher = Launcher(config, catalog, self._passed)
        self._removals = Removals(self._launcher, self.registry)
        self._questions = Questions(config, self._launcher.projects, self.registry)
        self._activity = Activity(catalog)
        self._disks = Disks(Path(config.project_root))
        self._runners: dict[str, runners.Runner] = {}
        self._cancelled: dict[str, threading.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: watching.Watcher | None = None

    @property
    def all_problems(self) -> tuple[str, ...]:
        """What is wrong with the node, each in a sentence."""
        lacks = self._launcher.confinement.lacks
        return (*self.catalog.problems, *lacks, *self.problems.values())

    # --- commands ---

    @property
    def launcher(self) -> Launcher:
        return self._launcher

    def take(self, command: Command) -> None:
        """Begin to carry out ``command``. Raises ``Declined`` for one that never will be."""
        match command:
            case Launch():
                self._launch(command)
            case Stop():
                self._stop(command.app_id)
            case Forget():
                self._forget(command.app_id)
            case SecureProject(project):
                self._secure(project)
            case RemoveProject(project):
                self._remove(project)
            case Explain() | FindEnvironments():
                self._answer(command)

    def _answer(self, question: Question) -> None:
        if self._questions.are_too_many:
            raise Declined("busy", "Too many questions wait for their answers. Ask again later.")
        self._begin(self._questions.answer(question))

    def _launch(self, launch: Launch) -> None:
        known = self.registry.find(launch.app_id)
        if known is not None and known.launch is not None:
            self.registry.changed(known)
            return
        if known is not None or self.registry.is_forgotten(launch.app_id):
            raise Declined("stopped", "This app was stopped before its launch arrived.")
        if not changing.agrees(launch):
            raise Declined("bad_launch", "A change of environments is no app, and no app is one.")
        try:
            self._launcher.descriptor(launch.app)
        except HostError as error:
            raise Declined("unknown_app", error.cause) from None
        new = self._add(Stored(AppStatus(launch.app_id, 0, "preparing"), launch))
        self._cancelled[launch.app_id] = threading.Event()
        self._begin(self._run(new, self._removal_before(launch)))

    def _stop(self, app_id: str) -> None:
        known = self.registry.find(app_id)
        if known is None:
            if not self.registry.is_forgotten(app_id):
                self._add(Stored(AppStatus(app_id, 0, "stopped"), ended=time.time()))
            return
        if known.is_over or known.stopping:
            self.registry.changed(known)
            return
        known.stopping = True
        known.enter("stopping")
        known.say("stop", "asked to end")
        known.save()
        self._cancelled[app_id].set()
        if app_id in self._runners:
            self._runners[app_id].stop()

    def _forget(self, app_id: str) -> None:
        known = self.registry.find(app_id)
        if known is None:
            return
        if known.stopping and not known.is_over:
            known.unwanted = True
            known.save()
            return
        if not known.is_over:
            raise Declined("not_over", "An app that still runs cannot be forgotten.")
        self.registry.forget(app_id)

    def _add(self, stored: Stored) -> Record:
        try:
            return self.registry.add(stored)
        except FileExistsError:
            raise Declined("id_taken", "Another app whose id begins alike is known here.") from None
        except OSError as error:
            problem = explain(error, "write down the app", self._run_dir)
            raise Declined("no_record", f"{problem.cause} {problem.mend}".strip()) from None

    # --- projects ---

    async def _on_project(
        self, doing: str, project: ProjectSpec, work: Coroutine[None, None, str]
    ) -> None:
        """Do ``work`` and note how it ended."""
        try:
            fact = await work
        except HostError as error:
            self._note(doing, project, "", error)
        else:
            self._note(doing, project, fact, None)

    def _note(self, doing: str, project: ProjectSpec, fact: str, error: HostError | None) -> None:
        """Keep what went wrong as a problem of the node until it goes right."""
        name = f"{project.owner}/{project.name}"
        if error is None:
            _log.info("%s of %s: %s", doing, name, fact)
            self.problems.pop(name, None)
        else:
            _log.error("%s of %s: %s", doing, name, error.cause)
            self.problems[name] = f"{doing} of {name}: {error.cause} {error.mend}".strip()

    def _secure(self, project: ProjectSpec) -> None:
        self._begin(self._launcher.passes.whole(project, self._launcher.lock(project)))

    def _passed(
        self, project: ProjectSpec, fact: str, error: HostError | None, later: bool
    ) -> None:
        """Note how a pass ended, for its launches too if they did not wait for it."""
        self._note("Permissions", project, fact, error)
        if later:
            for app in self.registry.live:
                if app.launch is not None and _is_in(app.launch, project):
                    app.say("permissions", error.cause if error else fact)

    def _remove(self, project: ProjectSpec) -> None:
        """End the apps that are there now, and take the directory; what comes later waits."""
        apps = [app for app in self.registry.live if app.launch and _is_in(app.launch, project)]
        for app in apps:
            self._stop(app.app_id)
        self._begin_removal(self._removals.new(project, apps))

    def _begin_removal(self, removal: Removal) -> None:
        work = self._removals.carry_out(removal)
        self._begin(self._on_project("Removing", removal.project, work))

    def _removal_before(self, launch: Launch) -> Removal | None:
        """Return the removal that the launch has to wait for; one that failed is tried again."""
        removal = self._removals.of(launch.project)
        if removal is not None and removal.error is not None:
            removal = self._removals.new(launch.project, [])
            self._begin_removal(removal)
        return removal

    # --- one app from its launch to its end ---

    async def _run(self, app: Record, removal: Removal | None = None) -> None:
        cancelled = self._cancelled.setdefault(app.app_id, threading.Event())
        try:
            if removal is not None:
                app.say("wait", "for the removal of the project that had this name")
                await removal.wait(cancelled)
            runner = await self._launcher.launch(app, cancelled)
        except Stopped:
            app.end("stopped")
        except HostError as error:
            self._fail(app, error)
        except Exception:
            _log.exception("the launch of app %s failed", app.app_id)
            self._fail(app, HostError(*_UNFORESEEN))
        else:
            await self._watch(app, runner)
        self._cancelled.pop(app.app_id, None)

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
            await asyncio.to_thread(self._sweep, app)
        app.read_output(final=True)
        usage = self._launcher.confinement.usage(app.directory.name, app.uid)
        await asyncio.to_thread(self._tidy, app)
        (app.directory / "token").unlink(missing_ok=True)
        self._cancelled.pop(app.app_id, None)
        code, title = None if ended is None else ended.code, self._title(app)
        if app.stopping:
            app.end("stopped", code=code)
        elif usage is not None and usage.killed and ended is not None and ended.was_killed:
            self._fail(app, endings.out_of_memory(title, self._launcher.memory_of(app)), code)
        elif failure is not None:
            self._fail(app, failure, code)
        elif ended is not None and (ended.stopped or ended.code == 0):
            app.end("stopped", code=code)
        elif app.launch and app.launch.change:
            self._fail(app, changing.why_it_failed(ended, app.output_lines), code)
        else:
            why = endings.later(title, ended, app.output_lines, usage is not None)
            self._fail(app, why, code)
        _log.info("app %s is over: %s", app.app_id, app.state)

    def _sweep(self, app: Record) -> None:
        """Kill what is left of an app whose runner was killed."""
        marker = f"AEN_APP_ID={app.app_id}"
        remains = partial(self._launcher.confinement.remains, app.directory.name, app.uid)
        while left := {*process.marked(marker, app.uid), *remains()}:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def _tidy(self, app: Record) -> None:
        appdir.remove_user_part(app.directory)
        self._launcher.confinement.tidy(app.directory.name, app.uid)

    def _title(self, app: Record) -> str:
        name = app.launch.app if app.launch else "app"
        try:
            return self._launcher.descriptor(name).title
        except HostError:
            return f"The app {name}"

    def _fail(self, app: Record, error: HostError, code: int | None = None) -> None:
        if app.stopping:
            app.end("stopped", code=code)
            return
        _log.warning("app %s failed: %s", app.app_id, error.cause)
        app.end("failed", error.cause, error.mend, code)

    # --- after a restart of the agent ---

    def adopt(self) -> None:
        """Find the apps that an earlier agent left, and go on where it ended."""
        apps = self.registry.read()
        for stray in self._launcher.confinement.left_of_others(
            {app.directory.name for app in apps}
        ):
            self._begin(asyncio.to_thread(self._launcher.confinement.tidy, stray, -1))
        for app in apps:
            if not app.is_over:
                self._resume(app)
        for project in self._launcher.passes.unsettled():
            self._secure(project)
        self._begin(asyncio.to_thread(self._launcher.zygote.warm_up))
        self._begin(self._removals.delete_leftovers())
        if self._config.watch:
            root, launcher = Path(self._config.project_root), self._launcher
            self._watcher = watching.begin_for(root, launcher.passes, launcher.lock, self._unseen)

    def _unseen(self, why: str) -> None:
        """Note why nobody hears of what programs do to permissions."""
        _log.warning("%s", why)
        self.problems["watch"] = why

    def _resume(self, app: Record) -> None:
        cancelled = self._cancelled[app.app_id] = threading.Event()
        if app.stopping:
            cancelled.set()
        runner = runners.adopt(app.runner, app.directory)
        if runner is not None:
            app.tail = Tail(app.directory / "log", app.token)
            app.tail.skip()
            app.say("agent", "found the app again after a restart of the node's agent")
            _log.info("app %s adopted", app.app_id)
            if app.stopping:
                app.enter("stopping")
            elif app.state == "preparing":  # what came after it was not written down any more
                app.enter("starting")
            self._begin(self._watch(app, runner))
        elif app.runner is None and not app.stopping:
            # Every step can be repeated.
            app.forget_steps()
            appdir.remove_user_part(app.directory)
            self._begin(self._run(app))
        else:
            self._begin(self._conclude(app, None))

    # --- what has to be looked at again and again ---

    async def look_after(self) -> None:
        """Read outputs and memory, and drop what is too old, for as long as the agent runs."""
        last_memory = 0.0
        while True:
            await asyncio.sleep(_LOOK_AT_OUTPUT)
            for app in self.registry.live:
                app.read_output()
            if time.monotonic() - last_memory > _LOOK_AT_MEMORY:
                last_memory = time.monotonic()
                self._measure()
                self.registry.drop_old()
                await self._keep_ports_closed()

    async def _keep_ports_closed(self) -> None:
        """See to it that the machine's packet filter still closes the ports of apps."""
        try:
            await asyncio.to_thread(self._launcher.confinement.ports.renew)
        except HostError as error:
            _log.warning("%s", error.cause)

    def _measure(self) -> None:
        """Note what each app uses; by its processes where no group counts for it."""
        stats = None
        for app_id, runner in self._runners.items():
            app = self.registry.find(app_id)
            if app is None:
                continue
            usage = self._launcher.confinement.usage(app.directory.name, app.uid)
            if usage is None:
                stats = stats or process.all_stats()
                below = process.descendants(runner.identity.pid, stats)
                memory, cpu = sum(stat.memory for stat in below), sum(stat.cpu for stat in below)
                usage = Usage(memory=memory, cpu=cpu)
            self._activity.note(app, app.note_usage(usage, time.monotonic()))
            if self._activity.is_due(app):
                self._begin(self._activity.ask(app))
        if project := self._disks.due(self.registry.live):
            self._begin(self._note_disk(project))

    async def _note_disk(self, project: ProjectSpec) -> None:
        used = await self._disks.used(project)
        for app in self.registry.live:
            if used is not None and app.launch and _is_in(app.launch, project):
                app.note_project_disk(used)

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
        if self._watcher is not None:
            self._watcher.stop()
        self._launcher.passes.release()
        self._questions.release()
        self._disks.release()
        for app in self.registry.live:
            app.save()  # with the processor time, by which the next agent sees what it missed
        for task in self._tasks:
            task.cancel()
        for runner in self._runners.values():
            runner.release()
        self._launcher.zygote.end()


def _is_in(launch: Launch, project: ProjectSpec) -> bool:
    return (launch.project.owner, launch.project.name) == (project.owner, project.name)
