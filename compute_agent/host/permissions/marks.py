"""Marks on entries: which overrides follow them when they are moved.

A mark is an attribute that only those can change who may write to the entry. It holds nothing but
the project's name and ids: what they mean, and whether they mean anything, the server says. In
another project it says that the entry was restricted where it comes from.
"""

import contextlib
import errno
import os
import re
from typing import NamedTuple

from compute_agent.host.rights import NO_ACLS, Target, get

#: On the project's directory it says that there may be others below.
ATTRIBUTE = "user.aen.override"
_ID = re.compile(r"[0-9a-f]{32}")
_SOMEWHERE = b"below"


class Marks(NamedTuple):
    """The ids that an entry is marked with, and whether they are of another project."""

    ids: tuple[str, ...] = ()
    foreign: bool = False


NONE = Marks()


def project_of(directory: int) -> str:
    """Return the name by which marks know the project of this directory: ``owner/name``."""
    return "/".join(os.readlink(f"/proc/self/fd/{directory}").split("/")[-2:])


def read(target: Target, project: str) -> Marks:
    """Return what the entry is marked with, seen from ``project``."""
    value = get(target, ATTRIBUTE)
    if not value:
        return NONE
    where, _, ids = os.fsdecode(value).rpartition(":")
    return Marks(tuple(_ID.findall(ids)), where != project)


def write(target: Target, project: str, ids: tuple[str, ...]) -> bool:
    """Mark the entry with just these ids; say whether the file system keeps marks."""
    try:
        if ids:
            os.setxattr(target, ATTRIBUTE, os.fsencode(f"{project}:{','.join(ids)}"))
        else:
            os.removexattr(target, ATTRIBUTE)
    except OSError as error:
        if error.errno in NO_ACLS:
            return False
        if error.errno != errno.ENODATA:
            raise
    return True


def are_below(target: Target) -> bool:
    """Say whether there may be marks in the project whose directory this is."""
    return get(target, ATTRIBUTE) is not None


def set_below(target: Target, wanted: bool) -> None:
    """Remember that there may be marks, or that there are none."""
    with contextlib.suppress(OSError):
        if wanted and get(target, ATTRIBUTE) is None:
            os.setxattr(target, ATTRIBUTE, _SOMEWHERE)
        elif not wanted:
            os.removexattr(target, ATTRIBUTE)
