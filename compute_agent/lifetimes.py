"""One app from its launch to its end, also over a restart of the agent.

An app is over only when its runner is gone, and a runner goes only when no process of its app is left.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from functools import partial

from compute_agent import appdir, endings, runners
from compute_agent.applog import Tail
from compute_agent.environments import changing
from compute_agent.host import process
from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher, Stopped
from compute_agent.record import Record
from compute_agent.removals import Removal
from compute_agent.tasks import Tasks

_UNFORESEEN = (
    "The node met an error that it does not know.",
    "An administrator can look into the node's log, where it is written down.",
)
_log = logging.getLogger(__name__)


class Lifetimes:
    """The apps that are not over. Everything here runs in the event loop's thread."""

    def __init__(self, launcher: Launcher, tasks: Tasks) -> None:
        self._launcher = launcher
        self._tasks = tasks
        #: Of the apps that were started, by their id.
        self.runners: dict[str, runners.Runner] = {}
        self._cancelled: dict[str, threading.Event] = {}

    def begin(self, app: Record, removal: Removal | None = None) -> None:
        """Launch the app, after ``removal`` of what had its project's name."""
        self._cancelled[app.app_id] = threading.Event()
        self._tasks.begin(self._run(app, removal))

    def stop(self, app: Record) -> None:
        """End an app that is not over, from whatever point of its life."""
        app.stopping = True
        app.enter("stopping")
        app.say("stop", "asked to end")
        app.save()
        self._cancelled[app.app_id].set()
        if app.app_id in self.runners:
            self.runners[app.app_id].stop()

    def resume(self, app: Record) -> None:
        """Go on with an app that an earlier agent left, where that ended."""
        cancelled = self._cancelled[app.app_id] = threading.Event()
        if app.stopping:
            cancelled.set()
        runner = runners.adopt(app.runner, app.directory)
        if runner is not None:
            self._take_up(app, runner)
        elif app.runner is None and not app.stopping and not _was_restarted(app, None):
            # Every step can be repeated; but who began it before a restart waits no more.
            app.forget_steps()
            appdir.remove_user_part(app.directory)
            self._tasks.begin(self._run(app))
        else:
            self._tasks.begin(self._conclude(app, None))

    def release(self) -> None:
        """Let go of all apps, which go on without the agent."""
        for runner in self.runners.values():
            runner.release()

    # --- from launch to end ---

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

    def _take_up(self, app: Record, runner: runners.Runner) -> None:
        app.tail = Tail(app.directory / "log", app.token)
        app.tail.skip()
        app.say("agent", "found the app again after a restart of the node's agent")
        _log.info("app %s adopted", app.app_id)
        if app.stopping:
            app.enter("stopping")
        elif app.state == "preparing":  # what came after it was not written down any more
            app.enter("starting")
        self._tasks.begin(self._watch(app, runner))

    async def _watch(self, app: Record, runner: runners.Runner) -> None:
        """Stay with a started app until it is over."""
        self.runners[app.app_id] = runner
        if app.stopping:
            runner.stop()
        failure = None
        if app.state == "starting" and not app.stopping:
            failure = await self._wait_until_ready(app, runner)
        await runner.ended.wait()
        del self.runners[app.app_id]
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

    # --- the end ---

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
        elif _was_restarted(app, ended):
            app.end("stopped", endings.by_restart())
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


def _was_restarted(app: Record, ended: runners.Exit | None) -> bool:
    """Say whether the machine was started anew before the app was over."""
    return ended is None and app.boot != process.boot_id()
