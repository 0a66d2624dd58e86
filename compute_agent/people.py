"""The people of a project on this node: their accounts, and whom the project's files are for."""

from pathlib import Path

from compute_agent.config import Config, service_uid
from compute_agent.host import accounts, acl, permissions, privileges
from compute_agent.host.accounts import Account
from compute_agent.host.errors import HostError
from compute_agent.protocol import ProjectSpec

#: So many people are named one by one in access lists, which hold no more; others go by groups.
MOST_NAMED = 200


class People:
    """Blocking work for threads."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._accounts = accounts.Accounts(
            Path(config.state_dir),
            config.service_account,
            config.manage_accounts,
            config.anon_user,
        )

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

    def rules(self, project: ProjectSpec) -> tuple[permissions.Rules, list[str]]:
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

    def remove_groups(self, project: ProjectSpec) -> None:
        """Remove the groups of a project that is gone."""
        if privileges.serves_others():
            self._accounts.remove_project_groups(project.owner, project.name)
