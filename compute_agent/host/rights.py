"""The rights of one entry: compared with what is wanted first, and written only if they differ.

What is written is named by ``/proc/self/fd/N`` of a descriptor that is open already, so nobody can
swap what it names.
"""

import errno
import os
import stat
from typing import NamedTuple

from compute_agent.host import acl
from compute_agent.host.acl import Acl

#: What a file system without ACLs answers.
NO_ACLS = (errno.ENOTSUP, errno.EOPNOTSUPP)
_SPECIAL = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
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


def is_right(path: str, info: os.stat_result, group: int | None, wanted: Wanted) -> bool:
    """Say whether the file is as ``wanted``; if ``path`` became a link, the link is looked at."""
    return (
        info.st_mode & 0o7777 == wanted.mode
        and (group is None or info.st_gid == group)
        and get(path, acl.ACCESS, follow=False) == (wanted.access if wanted.names else None)
    )


def bring(path: str, info: os.stat_result, group: int | None, wanted: Wanted) -> bool:
    """Make the entry as ``wanted`` and give it to ``group``; say whether that wrote anything.

    ``info`` is its state before. Raises ``OSError`` with one of ``NO_ACLS`` where names are needed
    and cannot be kept.
    """
    given = group is not None and info.st_gid != group
    if given and group is not None:
        os.chown(path, -1, group)
    changed = _set_access(path, info, wanted, given)
    return _set_default(path, wanted) or changed


def _set_access(path: str, info: os.stat_result, wanted: Wanted, force: bool) -> bool:
    """``force`` writes also where it looks right: a change of the group clears bits."""
    current = get(path, acl.ACCESS)
    same = current == wanted.access if wanted.names else current is None
    if same and not force and stat.S_IMODE(info.st_mode) == wanted.mode:
        return False
    try:
        os.setxattr(path, acl.ACCESS, wanted.access)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.names:
            raise
    # Sets the mask, not the group's rights, where there are named entries; clears setuid.
    if force or info.st_mode & _SPECIAL != wanted.special or not wanted.names:
        os.chmod(path, wanted.mode)
    return True


def _set_default(path: str, wanted: Wanted) -> bool:
    """Give a directory what its new entries inherit."""
    if wanted.default is None or get(path, acl.DEFAULT) == wanted.default:
        return False
    try:
        os.setxattr(path, acl.DEFAULT, wanted.default)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.default_names:
            raise
        return False
    return True


def get(path: str, name: str, follow: bool = True) -> bytes | None:
    """Return an attribute of the entry, or ``None`` if it has none.

    The path of a descriptor is itself a link to what it names; one that goes on with a name must
    not be followed.
    """
    try:
        return os.getxattr(path, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _NO_VALUE:
            return None
        raise
