"""Accounts and groups as the system knows them: found by exactly their name, and told apart."""

import grp
import hashlib
import os
import pwd
import re
from functools import lru_cache
from typing import NamedTuple

from compute_agent.host.errors import HostError

_ACCOUNTS = "/etc/passwd"
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_LONGEST_NAME = 32
_GROUP_PREFIX = "aen-"


class _Listed(NamedTuple):
    """The names of the accounts that the system lists, by uid and by primary group."""

    by_uid: dict[int, frozenset[str]]
    by_group: dict[int, frozenset[str]]


def find(name: str) -> pwd.struct_passwd | None:
    """Return the account of exactly that name, or ``None``.

    Raises ``HostError`` for what is no name, and where the system takes it for another account's.
    """
    if not _NAME.fullmatch(name):
        raise HostError(
            f"An account cannot be named {ascii(name)[1:-1][:40]}.",
            "A name has at most 32 small letters, digits, hyphens and underscores, and begins "
            "with no digit.",
        )
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    if entry.pw_name != name:
        raise HostError(
            f"This node takes {name} for the account {entry.pw_name}.",
            "Give this person's AEN account exactly that name.",
        )
    return entry


def check_one_name(entry: pwd.struct_passwd) -> None:
    """Raise ``HostError`` where another account has the same uid: to the system they are one."""
    names = _listed().by_uid.get(entry.pw_uid, frozenset()) | {pwd.getpwuid(entry.pw_uid).pw_name}
    if names != {entry.pw_name}:
        others = ", ".join(sorted(names - {entry.pw_name}))
        raise HostError(
            f"The account {entry.pw_name} is also {others}: both have uid {entry.pw_uid}.",
            f"An administrator can give one of them another uid: usermod --uid NUMBER {others}",
        )


def private_group(entry: pwd.struct_passwd) -> int | None:
    """Return the account's primary group if nobody else is in it, or the one made for it."""
    try:
        group = grp.getgrgid(entry.pw_gid)
    except KeyError:
        group = None
    # Who has a group as their first one is known only of accounts that the system lists.
    known = entry.pw_uid in _listed().by_uid
    if group is not None and (known or group.gr_name == entry.pw_name) and _is_alone(entry, group):
        return group.gr_gid
    try:
        own = grp.getgrnam(group_name(entry.pw_name))
    except KeyError:
        return None
    return own.gr_gid if _is_alone(entry, own) else None


def group_name(account: str) -> str:
    """Return the name of the group that an account gets where its first one is not its own."""
    name = _GROUP_PREFIX + account
    if len(name) <= _LONGEST_NAME:
        return name
    # Cut names could meet, and a shared group would open one person's files to the other.
    digest = hashlib.sha256(account.encode()).hexdigest()[:12]
    return f"{_GROUP_PREFIX}{account[:15]}-{digest}"


def _is_alone(entry: pwd.struct_passwd, group: grp.struct_group) -> bool:
    first = _listed().by_group.get(group.gr_gid, frozenset())
    return {*group.gr_mem, *first} <= {entry.pw_name}


def _listed() -> _Listed:
    info = os.stat(_ACCOUNTS)
    return _list((info.st_ino, info.st_mtime_ns, info.st_size))


@lru_cache(maxsize=1)
def _list(mark: tuple[int, int, int]) -> _Listed:
    by_uid: dict[int, frozenset[str]] = {}
    by_group: dict[int, frozenset[str]] = {}
    for entry in pwd.getpwall():
        by_uid[entry.pw_uid] = by_uid.get(entry.pw_uid, frozenset()) | {entry.pw_name}
        by_group[entry.pw_gid] = by_group.get(entry.pw_gid, frozenset()) | {entry.pw_name}
    return _Listed(by_uid, by_group)
