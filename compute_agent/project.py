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
from typing import NamedTuple

from compute_agent.config import Config, service_uid
from compute_agent.environments import Environments, listing
from compute_agent.environments.clone import Clone
from compute_agent.environments.links import Asker, link_tree
from compute_agent.environments.listing import ENVIRONMENTS
from compute_agent.envtool.prefix import TooLong
from compute_agent.host import accounts, acl, directories, permissions, privileges
from compute_agent.host.access import Who
from compute_agent.host.accounts import Account
from compute_agent.host.errors import HostError, explain, explained
from compute_agent.project_pass import ProjectPass
from compute_agent.protocol import ProjectSpec

_SKELETON = Path(__file__).parent / "skeleton"
#: So many people are named one by one in access lists, which hold no more; others go by groups.
MOST_NAMED = 200


class Projects:
    """What the node can do for projects below its project root."""

    def __init__(self, config: Config, environments: Environments) -> None:
        self._config = config
        self._root = Path(config.project_root)
        self._skeleton = Path(config.skeleton) if config.skeleton else _SKELETON
        self._environments = environments
        self._accounts = accounts.Accounts(
            Path(config.state_dir),
            config.service_account,
            config.manage_accounts,
            config.anon_user,
        )

    def home(self, project: ProjectSpec) -> Path:
        return self._root / project.owner / project.name

    def account(self, name: str) -> Account:
        """Return the account that stands for ``name``: itself, or the node's own person."""
        if not privileges.serves_others():
            return accounts.current_account()
        return self._accounts.person(name)

    def owner(self, project: ProjectSpec) -> Account:
        """Return the account whose the project's files are."""
        if not privileges.serves_others():
            return accounts.current_account()
        return self._accounts.owner(project.owner_account)

    def account_if_there(self, name: str, project: ProjectSpec) -> Account | None:
        """Return the account as an app of ``project`` would have it, ``None`` if there is none."""
        if not privileges.serves_others():
            return accounts.current_account()
        groups = self._accounts.project_groups(project.owner, project.name)
        return self._accounts.as_of_app(name, groups.ids)

    def account_of_app(self, name: str, project: ProjectSpec, for_visitors: bool) -> Account:
        """Return the account that an app of ``project`` runs as, with the groups it gets.

        Raises ``HostError``, also for an app of visitors that is not meant for them.
        """
        if not privileges.serves_others():
            return accounts.current_account()
        if self._accounts.is_visitor(name):
            if not for_visitors:
                raise HostError("This app is only for people who signed in.")
            return self._accounts.visitor()
        groups = self._accounts.project_groups(project.owner, project.name)
        return self._accounts.of_app(name, groups.ids)

    def make_directory(self, project: ProjectSpec) -> str:
        with explained("make the project's directory", self._root):
            return directories.ensure_project(
                self._root,
                project.owner,
                project.name,
                self.owner(project),
                self._skeleton,
            )

    def begin_pass(self, project: ProjectSpec, known: Path) -> ProjectPass | None:
        """Return a pass that gives the project's files to its team, not begun yet.

        ``known`` is where it keeps what it finds to be right. ``None`` without a directory.
        """
        rules, notes = self._rules(project)
        with (
            explained("set the permissions", self.home(project)),
            contextlib.suppress(FileNotFoundError),
            self._opened(project) as fd,
        ):
            return ProjectPass(self.home(project), os.dup(fd), rules, known, notes)
        return None

    def secure_parts(self, project: ProjectSpec, places: Iterable[str], seconds: float) -> bool:
        """Set ``places`` in the project right; say whether that was enough, else all has to be."""
        rules, _ = self._rules(project)
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
        if privileges.serves_others():
            self._accounts.remove_project_groups(project.owner, project.name)

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
        asking = self.account_if_there(account, project)
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

    def _rules(self, project: ProjectSpec) -> tuple[permissions.Rules, list[str]]:
        """Return whom the files are for, and a note for each person who cannot be named.

        Somebody else's account that cannot be had must not keep the owner from starting.
        """
        owner = self.owner(project)
        if not privileges.serves_others():
            return permissions.Rules(owner.uid, owner.group), []
        notes: list[str] = []
        uids = self._uids(project, notes)
        members = {
            member.account: acl.bits(member.access)
            for member in project.members
            if member.account in uids and member.account != project.owner_account
        }
        overrides = tuple(
            permissions.Override(one.id, one.path, uids[one.account], acl.bits(one.access))
            for one in project.overrides
            if one.account in uids
        )
        groups = self._groups(project, members, notes)
        by_name = acl.named((uids[name], rights) for name, rights in members.items())
        service = service_uid(self._config)
        return permissions.Rules(
            owner.uid,
            owner.group,
            members=by_name[:MOST_NAMED],
            spared=frozenset({0} if service is None else {0, service}),
            groups=groups,
            by_group=by_name[MOST_NAMED:] if groups else (),
            overrides=overrides,
            key=permissions.node_key(Path(self._config.state_dir) / "marks.key"),
        ), notes

    def _uids(self, project: ProjectSpec, notes: list[str]) -> dict[str, int]:
        """Return the ids of all who have rights, by account."""
        found = {}
        names = [member.account for member in project.members]
        names += [override.account for override in project.overrides]
        for name in dict.fromkeys(names):
            try:
                found[name] = self.account(name).uid
            except HostError as error:
                notes.append(f"no rights for {name}: {error.cause}")
        return found

    def _groups(self, project: ProjectSpec, members: dict[str, int], notes: list[str]) -> acl.Named:
        """Return the groups of a large team, with their rights.

        Everybody is in them, and the first are named all the same: their apps that run already
        have not got the groups, and must not lose their rights because somebody joins.
        """
        if len(members) <= MOST_NAMED:
            if self._accounts.project_groups(project.owner, project.name).ids:
                self._accounts.remove_project_groups(project.owner, project.name)
            return ()
        editors = [name for name, rights in members.items() if rights & 2]
        viewers = [name for name, rights in members.items() if not rights & 2]
        try:
            made = self._accounts.ensure_project_groups(
                project.owner, project.name, editors, viewers
            )
        except HostError as error:
            notes.append(f"rights for the first {MOST_NAMED} people only: {error.cause}")
            return ()
        pairs = ((made.editors, 7), (made.viewers, 5))
        return acl.named((gid, rights) for gid, rights in pairs if gid is not None)

    def _clone(self, project: ProjectSpec, fd: int, name: str, cancelled: threading.Event) -> str:
        template = self._environments.ensure("default")
        with self._staged(project, cancelled) as staged:
            clone = Clone(*staged.owner)
            self._fill(clone, template, staged.envs, self.home(project) / ENVIRONMENTS / name)
            staged.secure()
            staged.move_in(fd, name)
        return "cloned" if clone.linked else "copied (its files are on another disk)"

    @contextlib.contextmanager
    def _staged(self, project: ProjectSpec, cancelled: threading.Event) -> Iterator["_Staged"]:
        """Give an ``envs`` beside the project, where only the node can enter, to build in."""
        owner = self.owner(project)
        rules, _ = self._rules(project)
        group = owner.gid if rules.group is None else rules.group
        with directories.stage(self._root, project.owner, project.name) as stage:
            directories.make_owned(ENVIRONMENTS, stage, owner.uid, group)
            with directories.opened(ENVIRONMENTS, stage) as envs:
                # First what new directories inherit, so that little is left to change in them.
                permissions.secure(envs, rules, cancelled)
                yield _Staged(stage, envs, (owner.uid, group), rules, cancelled)

    def _fill(self, clone: Clone, template: Path, envs: int, home: Path) -> None:
        try:
            clone.make(template, envs, home.name, home)
        except TooLong as error:
            raise HostError(str(error), "Give the project a shorter name.") from None


class _Staged(NamedTuple):
    """An ``envs`` that is being filled, beside the project."""

    stage: int
    envs: int
    owner: tuple[int, int]
    rules: permissions.Rules
    cancelled: threading.Event

    def give(self, directory: int) -> None:
        if privileges.serves_others():
            os.fchown(directory, *self.owner)

    def secure(self) -> None:
        """Give what is in it to the team."""
        # Without a team all is right by what it inherited, and looking at it all costs as much
        # as cloning it.
        if self.rules.members or self.rules.overrides:
            permissions.secure(self.envs, self.rules, self.cancelled)

    def move_in(self, project: int, name: str) -> None:
        """Move what is finished to ``envs/<name>``, with ``envs`` itself where that is missing."""
        try:
            with directories.opened(ENVIRONMENTS, project) as envs:
                os.rename(name, name, src_dir_fd=self.envs, dst_dir_fd=envs)
        except FileNotFoundError:
            os.rename(ENVIRONMENTS, ENVIRONMENTS, src_dir_fd=self.stage, dst_dir_fd=project)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
                raise listing.not_an_environment(name) from None
            raise


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
