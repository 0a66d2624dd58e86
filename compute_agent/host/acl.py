"""POSIX ACLs as the kernel stores them in extended attributes. Pure: bytes in, bytes out.

An attribute is a version word and then entries of tag, rights and id, sorted by tag and id, all
little-endian. See ``include/uapi/linux/posix_acl_xattr.h``.
"""

import struct
from collections.abc import Iterable
from typing import NamedTuple

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF

Named = tuple[tuple[int, int], ...]


class Acl(NamedTuple):
    """Rights as bits (4 read, 2 write, 1 execute); ``users`` are (uid, rights), sorted, and
    ``groups`` (gid, rights)."""

    owner: int
    group: int
    other: int
    users: Named = ()
    groups: Named = ()

    @property
    def names(self) -> bool:
        """Whether it says more than a mode can."""
        return bool(self.users or self.groups)

    @property
    def mask(self) -> int:
        """The union of all that the mask limits, so that it never reduces an entry."""
        rights = self.group
        for _, granted in (*self.users, *self.groups):
            rights |= granted
        return rights

    @property
    def mode(self) -> int:
        """The permission bits that ``stat`` shows for this ACL."""
        return self.owner << 6 | self.mask << 3 | self.other


def encode(acl: Acl) -> bytes:
    """Return the attribute's value for ``acl``, with a mask only where one is needed."""
    parts = [_VERSION, _ENTRY.pack(USER_OBJ, acl.owner, _NO_ID)]
    parts += [_ENTRY.pack(USER, rights, uid) for uid, rights in sorted(acl.users)]
    parts.append(_ENTRY.pack(GROUP_OBJ, acl.group, _NO_ID))
    parts += [_ENTRY.pack(GROUP, rights, gid) for gid, rights in sorted(acl.groups)]
    if acl.names:
        parts.append(_ENTRY.pack(MASK, acl.mask, _NO_ID))
    parts.append(_ENTRY.pack(OTHER, acl.other, _NO_ID))
    return b"".join(parts)


def decode(value: bytes) -> list[tuple[int, int, int]]:
    """Return the entries of an attribute as (tag, rights, id).

    Raises ``ValueError`` for anything that is not an ACL of version 2.
    """
    if value[:4] != _VERSION or (len(value) - 4) % _ENTRY.size:
        raise ValueError("not a POSIX ACL of version 2")
    return list(_ENTRY.iter_unpack(value[4:]))


def named(entries: Iterable[tuple[int, int]]) -> Named:
    """Return named entries in the order in which they are stored, one for each id."""
    return tuple(sorted(dict(entries).items()))


def bits(access: str) -> int:
    """Return the rights that ``ls`` would show as ``access``, for instance ``r-x``."""
    return sum(bit for bit, letter in zip((4, 2, 1), access, strict=True) if letter != "-")
