"""The rights of one entry: compared with what is wanted first, and written only if they differ.

A ``Target`` is a descriptor that is open already, or ``/proc/self/fd/N`` of one that is but a
handle; so nobody can swap what it names.
"""

import contextlib
import errno
import os
import stat
from typing import NamedTuple

from compute_agent.host import acl
from compute_agent.host.acl import Acl

#: What a file system without ACLs answers.
NO_ACLS = (errno.ENOTSUP, errno.EOPNOTSUPP)
#: The bits above the permissions.
SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
Target = int | str
_NO_VALUE = (errno.ENODATA, *NO_ACLS)


class Wanted(NamedTuple):
    """What an entry should have, in the form in which it is compared.

    ``access`` and ``default`` are attributes' values, ``default`` is for directories; ``mode`` are
    the permissions with the ``special`` bits above them. ``names`` says whether the access list
    says more than the mode, ``default_names`` whether the default one does.
    """

    mode: int
    special: int
    access: bytes
    names: bool
    default: bytes | None = None
    default_names: bool = False


def wanted(access: Acl, default: Acl | None = None, special: int = 0) -> Wanted:
    """Return the form in which ``access`` and ``default`` are compared and written."""
    return Wanted(
        access.mode | special,
        special,
        acl.encode(access),
        access.names,
        None if default is None else acl.encode(default),
        default is not None and default.names,
    )


def is_set(path: str, wanted: Wanted) -> bool:
    """Say whether the entry has the access list; if ``path`` became a link, that is looked at."""
    try:
        return os.getxattr(path, acl.ACCESS, follow_symlinks=False) == wanted.access
    except OSError as error:
        if error.errno in _NO_VALUE:
            return not wanted.names
        raise


def bring(target: Target, info: os.stat_result, group: int | None, wanted: Wanted) -> bool:
    """Make the entry as ``wanted`` and give it to ``group``; say whether that wrote anything.

    ``info`` is its state before. Raises ``OSError`` with one of ``NO_ACLS`` where names are needed
    and cannot be kept.
    """
    given = group is not None and info.st_gid != group
    if given and group is not None:
        os.chown(target, -1, group)
    # A change of the group clears bits, so then it is written also where it looks right.
    changed = given or not _has_access(target, info, wanted)
    if changed:
        _set_access(target, info, wanted, given)
    return _set_default(target, wanted) or changed


def close(target: Target, info: os.stat_result) -> bool:
    """Leave the entry to its owner alone, whoever its lists name; say whether that wrote anything.

    It takes no room, so it works where a list does not fit.
    """
    with contextlib.suppress(OSError):
        os.removexattr(target, acl.DEFAULT)
    if not info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return False
    os.chmod(target, info.st_mode & stat.S_IRWXU)
    return True


def _has_access(target: Target, info: os.stat_result, wanted: Wanted) -> bool:
    current = get(target, acl.ACCESS)
    same = current == wanted.access if wanted.names else current is None
    return same and stat.S_IMODE(info.st_mode) == wanted.mode


def _set_access(target: Target, info: os.stat_result, wanted: Wanted, force: bool) -> None:
    special = force or info.st_mode & SPECIAL != wanted.special
    if special and wanted.default is None:
        # Before the list lets anybody execute: until setuid or setgid is gone, a member's program
        # would run with the group of the project's owner, which the file was just given to.
        os.chmod(target, wanted.mode & stat.S_IRWXU)
    try:
        os.setxattr(target, acl.ACCESS, wanted.access)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.names:
            raise
    # Sets the mask, not the group's rights, where there are named entries; clears setuid.
    if special or not wanted.names:
        os.chmod(target, wanted.mode)


def _set_default(target: Target, wanted: Wanted) -> bool:
    """Give a directory what its new entries inherit."""
    if wanted.default is None or get(target, acl.DEFAULT) == wanted.default:
        return False
    try:
        os.setxattr(target, acl.DEFAULT, wanted.default)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.default_names:
            raise
        return False
    return True


def get(target: Target, name: str) -> bytes | None:
    """Return an attribute of the entry, or ``None`` if it has none."""
    try:
        return os.getxattr(target, name)
    except OSError as error:
        if error.errno in _NO_VALUE:
            return None
        raise
