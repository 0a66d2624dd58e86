"""What the team's rules say an account may do with a path: the measure of what it really can.

Pure: a project as the server describes it in, rights out.
"""

import stat
from typing import Literal, NamedTuple

from compute_agent.host.access import Step, as_bits
from compute_agent.host.accounts import Account
from compute_agent.protocol import Explain, ProjectSpec

PUBLIC = "public"


class Rule(NamedTuple):
    """``rights`` as bits, for a folder; ``source`` is whom they are for, or who set them.

    ``place`` is the path that an override was set on, ``stated`` what was set there; ``moved`` is
    one that an entry took along from there.
    """

    rights: int
    source: Literal["person", "owner", "member", "stranger", "override", "moved"]
    place: str = ""
    stated: str = ""

    def of_file(self, executable: bool) -> "Rule":
        """Return the same for a file: execute only where its owner may."""
        return self if executable else self._replace(rights=self.rights & 6)


class Asked(NamedTuple):
    """What is asked, of whom: ``alone`` where one person's account runs the whole node.

    ``owner`` is the uid of the project's owner; ``spared`` are the accounts whose files the
    permission pass leaves as they are, ``key`` is the node's, with which it signs marks.
    """

    question: Explain
    account: Account
    owner: int
    spared: frozenset[int]
    alone: bool = False
    key: bytes = b""

    def rule(self, step: Step) -> Rule:
        if self.alone:
            return Rule(7, "person")
        return self._cut(
            self._restricted(rule_for(self._project, self._name, step.path), step), step
        )

    def _restricted(self, rule: Rule, step: Step) -> Rule:
        """Return the rule as cut by what was set on the entry where it lay before."""
        for found in self._project.overrides:
            moved = found.id in step.marks and not is_in(step.path, found.path)
            if moved and found.account == self._name and rule.rights & ~as_bits(found.access):
                rights = rule.rights & as_bits(found.access)
                rule = Rule(rights, "moved", found.path, found.access)
        return rule

    def role(self, step: Step) -> Rule:
        """Return what the rules would say without overrides."""
        return self._cut(role_of(self._project, self._name, step.path), step)

    @property
    def _project(self) -> ProjectSpec:
        return self.question.project

    @property
    def _name(self) -> str:
        return self.question.account

    def _cut(self, rule: Rule, step: Step) -> Rule:
        if step.kind == "directory":
            return rule
        if step.path == PUBLIC and rule.source == "stranger":
            rule = rule._replace(rights=1)  # a file that happens to be named so
        return rule.of_file(bool(step.info.st_mode & stat.S_IXUSR))


def rule_for(project: ProjectSpec, account: str, path: str) -> Rule:
    """Return what ``account`` should have of ``path``; the override nearest to it comes first."""
    override = max(
        (
            found
            for found in project.overrides
            if found.account == account and is_in(path, found.path)
        ),
        key=lambda found: len(found.path),
        default=None,
    )
    if override is not None and account != project.owner_account:
        return Rule(as_bits(override.access), "override", override.path, override.access)
    return role_of(project, account, path)


def role_of(project: ProjectSpec, account: str, path: str) -> Rule:
    """Return what ``account`` should have of ``path`` without any override."""
    if account == project.owner_account:
        return Rule(7, "owner")
    for member in project.members:
        if member.account == account:
            return Rule(as_bits(member.access), "member")
    return Rule(5 if is_in(path, PUBLIC) else 1, "stranger")


def is_in(path: str, folder: str) -> bool:
    """Say whether ``path`` is ``folder`` or lies in it."""
    return path == folder or path.startswith(folder + "/")
