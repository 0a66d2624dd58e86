"""Takes commands, and knows who carries them out. Commands are idempotent by app id."""

import asyncio
import logging
import time
from pathlib import Path

from compute_agent import watching
from compute_agent.catalog import Catalog
from compute_agent.config import Config
from compute_agent.environments import changing
from compute_agent.host.errors import HostError, explain
from compute_agent.launch import Launcher
from compute_agent.lifetimes import Lifetimes
from compute_agent.measuring import Measuring
from compute_agent.project_work import ProjectWork
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
from compute_agent.record import Record
from compute_agent.registry import Registry
from compute_agent.stored import Stored
from compute_agent.tasks import Tasks

_log = logging.getLogger(__name__)


class Declined(Exception):
    """A command that the node does not take: ``code`` for programs, the text for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class Supervisor:
    """The node. Everything here runs in the event loop's thread."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self.catalog = catalog
        self._config = config
        self._run_dir = Path(config.run_dir)
        self.registry = Registry(self._run_dir)
        self.launcher = Launcher(config, catalog, self._passed)
        self._tasks = Tasks()
        self._lifetimes = Lifetimes(self.launcher, self._tasks)
        self._projects = ProjectWork(self.launcher, self.registry, self._lifetimes, self._tasks)
        self._questions = Questions(config, self.launcher.projects.people, self.registry)
        self._measuring = Measuring(
            config=config,
            catalog=catalog,
            launcher=self.launcher,
            registry=self.registry,
            lifetimes=self._lifetimes,
            tasks=self._tasks,
        )
        self._watcher: watching.Watcher | None = None

    @property
    def all_problems(self) -> tuple[str, ...]:
        """What is wrong with the node, each in a sentence."""
        lacks = self.launcher.confinement.lacks
        found = self._projects.problems.values()
        return (*self.catalog.problems, *lacks, *self.registry.problems, *found)

    # --- commands ---

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
                self._projects.secure(project)
            case RemoveProject(project):
                self._projects.remove(project)
            case Explain() | FindEnvironments():
                self._answer(command)

    def _answer(self, question: Question) -> None:
        if self._questions.are_too_many:
            raise Declined("busy", "Too many questions wait for their answers. Ask again later.")
        self._tasks.begin(self._questions.answer(question))

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
            self.launcher.descriptor(launch.app)
        except HostError as error:
            raise Declined("unknown_app", error.cause) from None
        new = self._add(Stored(AppStatus(launch.app_id, 0, "preparing"), launch))
        self._lifetimes.begin(new, self._projects.removal_before(launch))

    def _stop(self, app_id: str) -> None:
        known = self.registry.find(app_id)
        if known is None:
            if not self.registry.is_forgotten(app_id):
                self._add(Stored(AppStatus(app_id, 0, "stopped"), ended=time.time()))
        elif known.is_over or known.stopping:
            self.registry.changed(known)
        else:
            self._lifetimes.stop(known)

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

    def _passed(
        self, project: ProjectSpec, fact: str, error: HostError | None, later: bool
    ) -> None:
        self._projects.passed(project, fact, error, later)

    # --- from the agent's start to its end ---

    def adopt(self) -> None:
        """Find the apps that an earlier agent left, and go on where it ended."""
        apps = self.registry.read()
        confinement = self.launcher.confinement
        for stray in confinement.left_of_others({app.directory.name for app in apps}):
            self._tasks.begin(asyncio.to_thread(confinement.tidy, stray, -1))
        for app in apps:
            if not app.is_over:
                self._lifetimes.resume(app)
        self._tasks.begin(asyncio.to_thread(self.launcher.zygote.warm_up))
        self._projects.resume()
        if self._config.watch:
            root, launcher = Path(self._config.project_root), self.launcher
            self._watcher = watching.begin_for(root, launcher.passes, launcher.lock, self._unseen)

    def _unseen(self, why: str) -> None:
        """Note why nobody hears of what programs do to permissions."""
        _log.warning("%s", why)
        self._projects.problems["watch"] = why

    async def look_after(self) -> None:
        """See to all that has to be looked at, for as long as the agent runs."""
        await self._measuring.go_on()

    def release(self) -> None:
        """Let go of everything; apps go on without the agent."""
        if self._watcher is not None:
            self._watcher.stop()
        self.launcher.passes.release()
        self._questions.release()
        self._measuring.release()
        for app in self.registry.live:
            app.save()  # with the processor time, by which the next agent sees what it missed
        self._tasks.cancel()
        self._lifetimes.release()
        self.launcher.zygote.end()
