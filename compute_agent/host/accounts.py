"""The UNIX accounts that apps run as: found, or made where the node may make them.

Apps never run as root, as a system account or as AEN's own service account. Nothing here
changes an account that exists.
"""

import os
import pwd
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from compute_agent.host import account_checks, account_makers, passwd, project_groups
from compute_agent.host.account_book import NAME, Book
from compute_agent.host.account_checks import NOBODY, OTHER_NAME
from compute_agent.host.errors import HostError
from compute_agent.host.passwd import group_name, private_group
from compute_agent.host.project_groups import ProjectGroups

# One at a time: what is free for one is not free for the next.
_changing = threading.Lock()


class Account(NamedTuple):
    """An account as apps and files need it. ``group`` is its private group, ``None`` if it has
    none: then group rights would open its files to others."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str
    group: int | None


def current_account() -> Account:
    """Return the account that runs this process, for nodes where every app runs as one person.

    Raises ``HostError`` if that is no person's.
    """
    entry = pwd.getpwuid(os.getuid())
    account_checks.is_persons(
        entry, "Run the node as a person, or give it its capabilities (docs/admin)."
    )
    return _describe(entry)


def existing(name: str, service_account: str) -> Account | None:
    """Return a person's account as it is now, ``None`` if there is none; nothing is written down.

    Raises ``HostError`` for one that must not have projects or apps.
    """
    entry = passwd.find(name)
    if entry is None:
        return None
    account_checks.person(entry, service_account)
    return _describe(entry)


class Accounts:
    """The accounts of one node. ``visitors`` is the name of the one for those not signed in.

    Where ``create`` is false somebody else makes them, and they are only looked at.
    """

    def __init__(self, state_dir: Path, service: str, create: bool, visitors: str = "") -> None:
        self.book = Book(state_dir / NAME)
        self._service = service
        self._create = create
        self._visitors = visitors

    def person(self, name: str) -> Account:
        """Return a person's account, made with its home and a group of its own if it is missing.

        Raises ``HostError`` for one that must not have projects or apps, or that cannot be made.
        """
        with _changing:
            entry = passwd.find(name)
            if entry is None:
                entry = self._make(name)
            self._check(entry)
            self.book.claim(name, entry.pw_uid)
            return _describe(entry, make_group=self._create)

    def owner(self, name: str) -> Account:
        """Return the account of somebody whose projects lie here. Raises ``HostError``."""
        account = self.person(name)
        if account.group is None:
            group = group_name(name)
            raise HostError(
                f"The account {name} has no group of its own, so its projects would be open to "
                "the others of its group.",
                f"An administrator can add a group with nobody in it: groupadd {group}",
            )
        return account

    def of_app(self, name: str, project_groups: frozenset[int] = frozenset()) -> Account:
        """Return the account that an app is to run as; ``project_groups`` are its project's.

        It gets no other project's group: who leaves a team must not keep its files open by an
        app of another project. Raises ``HostError``.
        """
        account = self.person(name)
        if not self._create:
            account_checks.ready(pwd.getpwnam(name))
        return self._with_groups(account, project_groups)

    def as_of_app(self, name: str, project_groups: frozenset[int]) -> Account | None:
        """Return the account as ``of_app`` would, ``None`` if there is none; nothing is made.

        Raises ``HostError`` for one that must not have apps.
        """
        account = existing(name, self._service)
        return account and self._with_groups(account, project_groups)

    def _with_groups(self, account: Account, project_groups: frozenset[int]) -> Account:
        others = set(self.book.entries.groups.values()) - project_groups
        return account._replace(groups=tuple(gid for gid in account.groups if gid not in others))

    def visitor(self) -> Account:
        """Return the account of those who did not sign in: no login, no home, its own group.

        Raises ``HostError``.
        """
        name = self._visitors
        if not name:
            raise HostError(
                "This node has no account for visitors who did not sign in.",
                "An administrator can name one: anon_user in the node's configuration.",
            )
        with _changing:
            entry = passwd.find(name) or self._make_visitors()
            self._check_visitors(entry)
            return _describe(entry)

    def ensure_project_groups(
        self, owner: str, project: str, editors: Iterable[str], viewers: Iterable[str]
    ) -> ProjectGroups:
        """Bring about the groups of a project whose team is too large to be named one by one.

        The names are of accounts that exist. Raises ``HostError``, also where this node makes no
        groups and the site's are not there. An app gets them when it is launched, not before.
        """
        with _changing:
            return project_groups.ensure(
                self.book, (owner, project), (editors, viewers), self._create
            )

    def project_groups(self, owner: str, project: str) -> ProjectGroups:
        """Return the groups that a project has now."""
        return project_groups.known(self.book, (owner, project))

    def remove_project_groups(self, owner: str, project: str) -> None:
        """Remove the groups of a project that is gone, or whose team is small again."""
        with _changing:
            project_groups.remove(self.book, (owner, project), self._create)

    def is_visitor(self, name: str) -> bool:
        return bool(self._visitors) and name == self._visitors

    # --- who may have apps ---

    def _check(self, entry: pwd.struct_passwd) -> None:
        account_checks.person(entry, self._service)
        visitors = passwd.find(self._visitors) if self._visitors else None
        if visitors is not None and visitors.pw_uid == entry.pw_uid:
            raise HostError(
                f"{entry.pw_name} is the account of visitors who did not sign in: it owns no "
                "project and is in no team.",
                OTHER_NAME,
            )

    def _check_visitors(self, entry: pwd.struct_passwd) -> None:
        name = entry.pw_name
        mend = "An administrator can name another account: anon_user in the node's configuration."
        account_checks.not_ours(entry, self._service, mend)
        passwd.check_one_name(entry)
        if entry.pw_uid in NOBODY or name in self.book.entries.accounts:
            raise HostError(f"The account {name} is not one for visitors alone.", mend)
        groups = os.getgrouplist(name, entry.pw_gid)
        if private_group(entry) is None or set(groups) != {entry.pw_gid}:
            raise HostError(
                f"The account {name} shares groups with others, whose files visitors would reach.",
                f"An administrator can give it one group of its own: usermod -g {name} -G '' {name}",
            )

    # --- making what is missing ---

    def _make(self, name: str) -> pwd.struct_passwd:
        if not self._create:
            raise HostError(
                f"There is no account {name} on this node.",
                "An administrator can add it; this node does not make accounts itself.",
            )
        if self._visitors == name:
            raise HostError(f"{name} is the account of visitors who did not sign in.", OTHER_NAME)
        known = self.book.entries.accounts.get(name)
        if known is not None:
            raise HostError(
                f"The account {name} was deleted from this node; it had uid {known}.",
                f"An administrator can add it again with its files: useradd --uid {known} {name}. "
                f"Or have it made new: python -m compute_agent -c FILE --forget-account {name}",
            )
        return account_makers.make_person(name, self.book)

    def _make_visitors(self) -> pwd.struct_passwd:
        if not self._create:
            raise HostError(
                f"There is no account {self._visitors} on this node, as which visitors' apps run.",
                f"An administrator can add it: {account_makers.visitors_command(self._visitors)}",
            )
        return account_makers.make_visitors(self._visitors)


def _describe(entry: pwd.struct_passwd, make_group: bool = False) -> Account:
    group = private_group(entry)
    if group is None and make_group:
        group = account_makers.make_private_group(entry.pw_name)
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",
        group=group,
    )
