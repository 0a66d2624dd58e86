"""What the kernel lets an account do with one entry, worked out as the kernel does.

See ``acl_permission_check`` in ``fs/namei.c`` and ``posix_acl_permission`` in ``fs/posix_acl.c``.
Rights are bits: 4 read, 2 write, 1 execute, or enter for a directory.
"""

import contextlib
import ctypes
import errno
import grp
import os
import pwd
import stat
from typing import Literal, NamedTuple

from compute_agent.host import acl

_GROUP_BITS = 0o070
_AT_EMPTY_PATH, _AT_DONT_SYNC = 0x1000, 0x4000
_IMMUTABLE = 0x10
_libc = ctypes.CDLL(None, use_errno=True)


class Who(NamedTuple):
    """An account as its processes carry it: ``groups`` holds the primary one too."""

    uid: int
    groups: frozenset[int]


class Grant(NamedTuple):
    """The entry that decides, as ``getfacl`` writes it, and what is left of it.

    ``mask`` is ``None`` where none limits the entry. Where several groups match, ``rights`` is
    their union and ``entry`` names the one that gives the most.
    """

    entry: str
    rights: int
    effective: int
    mask: int | None = None


Kind = Literal["file", "directory", "other", "missing"]


class Step(NamedTuple):
    """One directory on the way, or the end of it, as it was found.

    ``path`` is relative to the project's directory, which is "".
    """

    path: str
    info: os.stat_result
    grant: Grant
    withheld: dict[str, int]
    #: Ids of overrides that it, or a folder above, was marked with where it lay before.
    marks: frozenset[str] = frozenset()
    #: Marked by another project, as the entry itself or a folder above.
    foreign: bool = False

    @property
    def kind(self) -> Kind:
        if stat.S_ISDIR(self.info.st_mode):
            return "directory"
        return "file" if stat.S_ISREG(self.info.st_mode) else "other"

    @property
    def rights(self) -> int:
        """What is left in the end."""
        left = self.grant.effective
        for taken in self.withheld.values():
            left &= ~taken
        return left


def granted(fd: int, info: os.stat_result, who: Who) -> Grant:
    """Return what the entry's mode and access list give ``who``. ``fd`` may be a mere handle."""
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid == who.uid:
        owner = mode >> 6 & 7
        return Grant("user::", owner, owner)
    group, other = mode >> 3 & 7, mode & 7
    in_group = info.st_gid in who.groups
    entries = _entries(fd)
    if entries and (found := _find(entries, who, in_group)) is not None:
        if mode & _GROUP_BITS:
            return found
        # With a mask of nothing the kernel does not look into the list at all.
        return found._replace(effective=0 if in_group else other)
    if in_group and not entries:
        return Grant("group::", group, group)
    return Grant("other::", other, other)


def _find(entries: list[tuple[int, int, int]], who: Who, in_group: bool) -> Grant | None:
    """Return what the list's entries for people and groups give; ``None``: others' rights count."""
    mask = next((rights for tag, rights, _ in entries if tag == acl.MASK), None)
    limit = 7 if mask is None else mask
    for tag, rights, number in entries:
        if tag == acl.USER and number == who.uid:
            return Grant(f"user:{user_name(number)}:", rights, rights & limit, mask)
    groups = [
        (rights, "group::" if tag == acl.GROUP_OBJ else f"group:{group_name(number)}:")
        for tag, rights, number in entries
        if (tag == acl.GROUP_OBJ and in_group) or (tag == acl.GROUP and number in who.groups)
    ]
    if not groups:
        return None
    together = 0
    for rights, _ in groups:
        together |= rights
    most = max(groups, key=lambda found: (found[0] & limit).bit_count())
    return Grant(most[1], together, together & limit, mask)


def _entries(fd: int) -> list[tuple[int, int, int]]:
    try:
        return acl.decode(os.getxattr(f"/proc/self/fd/{fd}", acl.ACCESS))
    except ValueError:
        return []
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return []
        raise


def withheld(fd: int, info: os.stat_result) -> dict[str, int]:
    """Return what takes rights away that no entry can give back, and which rights it takes."""
    plain = stat.S_ISREG(info.st_mode)
    if not plain and not stat.S_ISDIR(info.st_mode):
        return {}
    found = {}
    flags = os.fstatvfs(fd).f_flag
    if flags & os.ST_RDONLY:
        found["read-only"] = 2
    if _attributes(fd) & _IMMUTABLE:
        found["immutable"] = 2
    if plain and flags & os.ST_NOEXEC:
        found["noexec"] = 1
    return found


def _attributes(fd: int) -> int:
    """Return the flags that ``lsattr`` shows, as ``statx`` gives them; it needs no open file."""
    with contextlib.suppress(AttributeError):  # a C library without statx
        buffer = ctypes.create_string_buffer(256)
        if _libc.statx(fd, b"", _AT_EMPTY_PATH | _AT_DONT_SYNC, 0, buffer) == 0:
            return int.from_bytes(buffer.raw[8:16], "little")
    return 0


def user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def in_letters(rights: int) -> str:
    """Return rights as ``ls`` shows them."""
    return "".join(
        letter if rights & bit else "-" for letter, bit in zip("rwx", (4, 2, 1), strict=True)
    )


def as_bits(letters: str) -> int:
    """Return what ``in_letters`` was given."""
    return sum(bit for letter, bit in zip(letters, (4, 2, 1), strict=True) if letter != "-")
