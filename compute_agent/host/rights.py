"""The rights of one entry: compared with what is wanted first, and written only if they differ.

Paths are ``/proc/self/fd/N`` of descriptors that are open already, so nobody can swap what they
name.
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


class Wanted(NamedTuple):
    """``default`` is for directories; ``special`` are the bits above the permissions."""

    access: Acl
    default: Acl | None
    special: int


def set_access(path: str, info: os.stat_result, wanted: Wanted, force: bool) -> bool:
    """Give the entry its access ACL and special bits; say whether that wrote anything.

    ``info`` is its state before; ``force`` writes also where that looks right. Raises ``OSError``
    with one of ``NO_ACLS`` where names are needed and cannot be kept.
    """
    value = acl.encode(wanted.access)
    current = _get(path, acl.ACCESS)
    same = current == value if wanted.access.users else current is None
    mode = wanted.access.mode | wanted.special
    if same and not force and stat.S_IMODE(info.st_mode) == mode:
        return False
    try:
        os.setxattr(path, acl.ACCESS, value)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.access.users:
            raise
    # Sets the mask, not the group's rights, where there are named entries; clears setuid.
    if force or info.st_mode & _SPECIAL != wanted.special or not wanted.access.users:
        os.chmod(path, mode)
    return True


def set_default(path: str, wanted: Acl) -> bool:
    """Give a directory what its new entries inherit; say whether that wrote anything."""
    value = acl.encode(wanted)
    if _get(path, acl.DEFAULT) == value:
        return False
    try:
        os.setxattr(path, acl.DEFAULT, value)
    except OSError as error:
        if error.errno not in NO_ACLS or wanted.users:
            raise
        return False
    return True


def _get(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, *NO_ACLS):
            return None
        raise
