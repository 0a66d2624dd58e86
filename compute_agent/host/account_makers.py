"""Making accounts and groups, each with an id that nobody had before."""

import contextlib
import grp
import os
import pwd
from collections.abc import Callable

from compute_agent.host import passwd
from compute_agent.host.account_book import Book, Entries
from compute_agent.host.account_tools import Failed, free_id, home_base, run
from compute_agent.host.errors import HostError

_ID_TAKEN = 4  # exit code of useradd and groupadd
_TRIES = 20


def make_person(name: str, book: Book) -> pwd.struct_passwd:
    """Make an account with a home and a group of its own. Raises ``HostError``."""
    _check_place(name)
    make = ("useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--uid")
    with book.changing() as entries:
        entries.accounts[name] = _with_free_id(
            entries, f"The account {name} could not be made", make, name, undo=_remove_person
        )
    return _made(name)


def make_group(name: str, book: Book) -> int:
    """Make a group of a project and return its id. Raises ``HostError``."""
    with book.changing() as entries:
        entries.groups[name] = _with_free_id(
            entries, f"The group {name} could not be made", ("groupadd", "--gid"), name,
            undo=_remove_group,
        )  # fmt: skip
        return entries.groups[name]


def make_private_group(account: str) -> int:
    """Make the group of an account whose first one it shares. Raises ``HostError``."""
    name = passwd.group_name(account)
    run(f"The private group of {account} could not be made", "groupadd", "--system", "--", name)
    return grp.getgrnam(name).gr_gid


def visitors_command(name: str) -> str:
    """Return how an administrator makes the account of visitors who did not sign in."""
    return " ".join(_visitors(name))


def make_visitors(name: str) -> pwd.struct_passwd:
    """Make that account: no login, no home, a group of its own. Raises ``HostError``."""
    run(f"The account {name} could not be made", *_visitors(name))
    return _made(name)


def _visitors(name: str) -> tuple[str, ...]:
    without = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    return ("useradd", "--system", "--user-group", *without, "--", name)


def _check_place(name: str) -> None:
    """Raise ``HostError`` where a group or a home of that name is left from another account."""
    try:
        grp.getgrnam(name)
    except KeyError:
        pass
    else:
        raise HostError(
            f"The account {name} cannot be made: the node has a group of that name already.",
            "Give this person's AEN account another name, or have an administrator add the account",
        )
    home = home_base() / name
    if os.path.lexists(home):
        raise HostError(
            f"The account {name} cannot be made: there is a {home} already, of uid "
            f"{home.lstat().st_uid}.",
            f"An administrator can move it away: mv {home} {home}.former",
        )


def _with_free_id(
    entries: Entries, failure: str, make: tuple[str, ...], name: str, *, undo: Callable[[str], None]
) -> int:
    """Make ``name`` with an id that nobody ever had, and return the id."""
    for _ in range(_TRIES):
        number = free_id(entries)
        try:
            run(failure, *make, str(number), "--", name)
        except Failed as failed:
            if failed.code != _ID_TAKEN:
                raise
        else:
            if _has_one_name(number):
                return number
            # The tools look for an id before they take the lock: somebody else took it as well.
            undo(name)
        entries.retired.append(number)
    raise HostError(f"{failure}: other programs take every free id.")


def _has_one_name(number: int) -> bool:
    """Say whether just one account, if any, has this uid, and just one group this gid."""
    accounts = [entry for entry in pwd.getpwall() if entry.pw_uid == number]
    groups = [entry for entry in grp.getgrall() if entry.gr_gid == number]
    return len(accounts) <= 1 and len(groups) <= 1


def _remove_person(name: str) -> None:
    run(f"The account {name} could not be removed", "userdel", "--force", "--remove", "--", name)
    with contextlib.suppress(KeyError):
        grp.getgrnam(name)
        _remove_group(name)


def _remove_group(name: str) -> None:
    # By force: for the tool it is the first group of whoever has the same id.
    run(f"The group {name} could not be removed", "groupdel", "--force", "--", name)


def _made(name: str) -> pwd.struct_passwd:
    entry = passwd.find(name)
    if entry is None:
        raise HostError(f"The account {name} was made but the node does not find it.")
    return entry
