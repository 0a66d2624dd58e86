"""Groups for teams that are too large to be named one by one: a file's access list has no room.

A project has one group for those who may write and one for those who only read. Their names are
made from the project's, and their ids stand in the node's book of accounts.
"""

import grp
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from compute_agent.host import passwd
from compute_agent.host.account_book import Book
from compute_agent.host.account_makers import make_group
from compute_agent.host.account_tools import run
from compute_agent.host.errors import HostError

#: No private group's name begins so: those begin with ``aen-``.
_PREFIX = "aenp-"
_KINDS = {"w": "writes", "r": "reads"}


Project = tuple[str, str]  # owner and name


class ProjectGroups(NamedTuple):
    """The ids of a project's groups; ``None`` for one that would have nobody in it."""

    editors: int | None
    viewers: int | None

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(gid for gid in self if gid is not None)


def names(project: Project) -> tuple[str, str]:
    """Return the names of the groups of editors and viewers: 19 characters, always the same."""
    digest = hashlib.sha256("/".join(project).encode()).hexdigest()[:12]
    return f"{_PREFIX}{digest}-w", f"{_PREFIX}{digest}-r"


def known(book: Book, project: Project) -> ProjectGroups:
    """Return the groups that the project has."""
    editors, viewers = (book.entries.groups.get(name) for name in names(project))
    return ProjectGroups(editors, viewers)


def ensure(
    book: Book, project: Project, team: tuple[Iterable[str], Iterable[str]], create: bool
) -> ProjectGroups:
    """Bring the project's groups about, with exactly these editors and viewers, in one go each.

    An app that runs already has the groups that it started with. Raises ``HostError``.
    """
    bring = _ensure if create else _of_the_site
    editors, viewers = (
        bring(book, name, set(members)) for name, members in zip(names(project), team, strict=True)
    )
    return ProjectGroups(editors, viewers)


def remove(book: Book, project: Project, create: bool) -> None:
    """Remove the project's groups; their ids are not given again. Raises ``HostError``."""
    for name in names(project):
        if name in book.entries.groups:
            _remove(book, name, create)


def _ensure(book: Book, name: str, members: set[str]) -> int | None:
    found = _find(name)
    gid = book.entries.groups.get(name)
    if found is not None and found.gr_gid != gid:
        raise HostError(
            f"There is a group {name} on this node that AEN did not make.",
            f"An administrator can remove it: groupdel {name}",
        )
    if not members:
        if gid is not None:
            _remove(book, name, create=True)
        return None
    if found is None:
        if gid is not None:  # somebody removed it by hand; its id is not used again
            _retire(book, name)
        gid = make_group(name, book)
    if found is None or set(found.gr_mem) != members:
        _set_members(name, members)
    return gid


def _set_members(name: str, members: set[str]) -> None:
    listed = ",".join(sorted(members))
    for member in members:  # at a name that it does not know groupmod crashes
        if passwd.find(member) is None:
            raise HostError(f"There is no account {member} on this node.")
    failure = f"The members of the group {name} could not be set"
    try:
        run(failure, "groupmod", "--users", listed, "--", name)
    except HostError as error:
        if "option" not in error.cause:
            raise
        # Before shadow 4.10 only gpasswd could, and only as root.
        run(failure, "gpasswd", "--members", listed, name)


def _of_the_site(book: Book, name: str, members: set[str]) -> int | None:
    """Return a group that the site made, if it is as it must be."""
    if not members:
        return None
    found = _find(name)
    if found is None or set(found.gr_mem) != members:
        raise HostError(
            f"The team is too large for access lists, and the group {name} does not hold just "
            f"the {len(members)} accounts of those whose role {_KINDS[name[-1]]}.",
            f"An administrator can add the group {name} and keep its members, or keep the team "
            "small; this node makes no groups itself.",
        )
    if book.entries.groups.get(name) != found.gr_gid:
        with book.changing() as entries:
            entries.groups[name] = found.gr_gid
    return found.gr_gid


def _remove(book: Book, name: str, create: bool) -> None:
    if create and _find(name) is not None:
        run(f"The group {name} could not be removed", "groupdel", "--", name)
    _retire(book, name)


def _retire(book: Book, name: str) -> None:
    with book.changing() as entries:
        entries.retired.append(entries.groups.pop(name))


def _find(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None
