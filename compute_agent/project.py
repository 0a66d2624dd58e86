"""The steps of a launch that concern the project: account, directory, permissions, environment.

All of it is blocking work for threads; nothing here knows of the event loop. Each function
returns the fact that the step reports.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from compute_agent.config import Config
from compute_agent.environments import Environments, listing
from compute_agent.environments.clone import Clone
from compute_agent.environments.links import Asker, link_tree
from compute_agent.environments.listing import ENVIRONMENTS
from compute_agent.environments.staging import Staged
from compute_agent.envtool.prefix import TooLong
from compute_agent.host import directories, permissions
from compute_agent.host.access import Who
from compute_agent.host.errors import HostError, explain, explained
from compute_agent.people import People
from compute_agent.project_pass import ProjectPass
from compute_agent.protocol import ProjectSpec

_SKELETON = Path(__file__).parent / "skeleton"


class Projects:
    """What the node can do for projects below its project root."""

    def __init__(self, config: Config, environments: Environments) -> None:
        self._config = config
        self._root = Path(config.project_root)
        self._skeleton = Path(config.skeleton) if config.skeleton else _SKELETON
        self._environments = environments
        self.people = People(config)

    def home(self, project: ProjectSpec) -> Path:
        return self._root / project.owner / project.name

    def make_directory(self, project: ProjectSpec) -> str:
        with explained("make the project's directory", self._root):
            return directories.ensure_project(
                self._root,
                project.owner,
                project.name,
                self.people.owner(project),
                self._skeleton,
            )

    def begin_pass(self, project: ProjectSpec, known: Path) -> ProjectPass | None:
        """Return a pass that gives the project's files to its team, not begun yet.

        ``known`` is where it keeps what it finds to be right. ``None`` without a directory.
        """
        rules, notes = self.people.rules(project)
        with (
            explained("set the permissions", self.home(project)),
            contextlib.suppress(FileNotFoundError),
            self._opened(project) as fd,
        ):
            return ProjectPass(self.home(project), os.dup(fd), rules, known, notes)
        return None

    def secure_parts(self, project: ProjectSpec, places: Iterable[str], seconds: float) -> bool:
        """Set ``places`` in the project right; say whether that was enough, else all has to be."""
        rules, _ = self.people.rules(project)
        done: permissions.Outcome | None = permissions.Outcome()
        with (
            explained("set the permissions", self.home(project)),
            contextlib.suppress(FileNotFoundError),
            self._opened(project) as fd,
        ):
            done = permissions.secure_parts(fd, rules, map(os.fsencode, places), seconds)
        return done is not None

    def set_aside(self, project: ProjectSpec) -> None:
        """Take the project's directory out of its place, and its groups away."""
        with explained("remove the project's directory", self._root):
            directories.set_aside(self._root, project.owner, project.name)
        self.people.remove_groups(project)

    def delete_set_aside(self, owner: str) -> None:
        """Delete what was taken out of its place."""
        with _deleting_explained(self._root):
            directories.delete_set_aside(self._root, owner)

    def owners(self) -> list[str]:
        """Return the names of the directories that hold projects."""
        try:
            return sorted(entry.name for entry in self._root.iterdir())
        except OSError:
            return []

    def ensure_environment(
        self, project: ProjectSpec, name: str, cancelled: threading.Event
    ) -> str:
        """Make the environment ``name`` from the template if the project has none."""
        with (
            explained("make the environment", self.home(project)),
            self._opened(project) as fd,
        ):
            known = listing.kind(fd, name)
            if known is not None:
                return listing.fact(name, known, "present")
            how = self._clone(project, fd, name, cancelled)
            return listing.fact(name, listing.kind(fd, name), how)

    def link_environment(
        self,
        project: ProjectSpec,
        account: str,
        source: str,
        target: str,
        cancelled: threading.Event,
    ) -> None:
        """Make ``envs/<target>`` of links to the files of the project's ``envs/<source>``.

        ``account`` asks for it: what is closed to it stays so. Raises ``HostError``, ``Cancelled``.
        """
        asking = self.people.account_if_there(account, project)
        if asking is None:
            raise HostError(f"There is no account {account}.")
        who = Who(asking.uid, frozenset(asking.groups) | {asking.gid})
        with (
            explained("copy the environment", self.home(project)),
            self._opened(project) as fd,
            directories.opened(ENVIRONMENTS, fd) as envs,
            directories.opened(source, envs) as environment,
            self._staged(project, cancelled) as staged,
        ):
            asker = Asker(who, staged.rules.spared | {0, os.geteuid()}, cancelled)
            link_tree(environment, staged.envs, target, staged.give, asker)
            staged.move_in(fd, target)

    def kernels(self, project: ProjectSpec) -> list[listing.Kernel]:
        """Return the kernels of the project's environments."""
        with self._opened(project) as fd:
            return listing.kernels(fd)

    def is_conda(self, project: ProjectSpec, name: str) -> bool:
        """Say whether the environment ``name`` is made of conda packages."""
        with self._opened(project) as fd:
            known = listing.kind(fd, name)
            return known is not None and known.maker == "conda"

    # --- parts ---

    @contextlib.contextmanager
    def _opened(self, project: ProjectSpec) -> Iterator[int]:
        with directories.project_directory(self._root, project.owner, project.name) as fd:
            yield fd

    def _clone(self, project: ProjectSpec, fd: int, name: str, cancelled: threading.Event) -> str:
        template = self._environments.ensure("default")
        with self._staged(project, cancelled) as staged:
            clone = Clone(*staged.owner)
            self._fill(clone, template, staged.envs, self.home(project) / ENVIRONMENTS / name)
            staged.secure()
            staged.move_in(fd, name)
        return "cloned" if clone.linked else "copied (its files are on another disk)"

    @contextlib.contextmanager
    def _staged(self, project: ProjectSpec, cancelled: threading.Event) -> Iterator[Staged]:
        """Give an ``envs`` beside the project, where only the node can enter, to build in."""
        owner = self.people.owner(project)
        rules, _ = self.people.rules(project)
        group = owner.gid if rules.group is None else rules.group
        with directories.stage(self._root, project.owner, project.name) as stage:
            directories.make_owned(ENVIRONMENTS, stage, owner.uid, group)
            with directories.opened(ENVIRONMENTS, stage) as envs:
                # First what new directories inherit, so that little is left to change in them.
                permissions.secure(envs, rules, cancelled)
                yield Staged(stage, envs, (owner.uid, group), rules, cancelled)

    def _fill(self, clone: Clone, template: Path, envs: int, home: Path) -> None:
        try:
            clone.make(template, envs, home.name, home)
        except TooLong as error:
            raise HostError(str(error), "Give the project a shorter name.") from None


@contextlib.contextmanager
def _deleting_explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise HostError(
                f"A deleted project still holds a mount point ({error.filename}).",
                f"An administrator can unmount it: findmnt -R shows what is mounted in {root}.",
            ) from error
        raise explain(error, "delete what is left of a project", root) from error
