"""What is done to projects beside their apps: permissions set again, whole projects removed."""

import logging
from collections.abc import Coroutine

from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher
from compute_agent.lifetimes import Lifetimes
from compute_agent.protocol import Launch, ProjectSpec
from compute_agent.registry import Registry
from compute_agent.removals import Removal, Removals
from compute_agent.tasks import Tasks

_log = logging.getLogger(__name__)


class ProjectWork:
    """Does it, and keeps what went wrong until it goes right."""

    def __init__(
        self, launcher: Launcher, registry: Registry, lifetimes: Lifetimes, tasks: Tasks
    ) -> None:
        self._launcher = launcher
        self._registry = registry
        self._lifetimes = lifetimes
        self._tasks = tasks
        self._removals = Removals(launcher, registry)
        #: What went wrong with a project, by its name, until it went right.
        self.problems: dict[str, str] = {}

    def secure(self, project: ProjectSpec) -> None:
        """Give the project's files to its team as it is now."""
        self._tasks.begin(self._launcher.passes.whole(project, self._launcher.lock(project)))

    def passed(self, project: ProjectSpec, fact: str, error: HostError | None, later: bool) -> None:
        """Note how a pass ended, for its launches too if they did not wait for it."""
        self._note("Permissions", project, fact, error)
        if later:
            for app in self._registry.live:
                if is_in(app.launch, project):
                    app.say("permissions", error.cause if error else fact)

    def remove(self, project: ProjectSpec) -> None:
        """End the apps that are there now, and take the directory; what comes later waits."""
        apps = [app for app in self._registry.live if is_in(app.launch, project)]
        for app in apps:
            if not app.stopping:
                self._lifetimes.stop(app)
        self._begin_removal(self._removals.new(project, apps))

    def removal_before(self, launch: Launch) -> Removal | None:
        """Return the removal that the launch has to wait for; one that failed is tried again."""
        removal = self._removals.of(launch.project)
        if removal is not None and removal.error is not None:
            removal = self._removals.new(launch.project, [])
            self._begin_removal(removal)
        return removal

    def resume(self) -> None:
        """Go on with what an earlier agent did not come to the end of."""
        for project in self._launcher.passes.unsettled():
            self.secure(project)
        self._tasks.begin(self._removals.delete_leftovers())

    # --- parts ---

    def _begin_removal(self, removal: Removal) -> None:
        work = self._removals.carry_out(removal)
        self._tasks.begin(self._on_project("Removing", removal.project, work))

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


def is_in(launch: Launch | None, project: ProjectSpec) -> bool:
    """Say whether the launch is one in this project, whoever was in its team then."""
    if launch is None:
        return False
    return (launch.project.owner, launch.project.name) == (project.owner, project.name)
