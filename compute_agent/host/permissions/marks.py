"""Marks on entries: which overrides follow them when they are moved.

A mark is an attribute that only those can change who may write to the entry. It holds nothing but
ids: what they mean, and whether they mean anything, the server says.
"""

import contextlib
import errno
import os
import re

from compute_agent.host.rights import NO_ACLS, Target, get

#: On the project's directory it says that there may be others below.
ATTRIBUTE = "user.aen.override"
_ID = re.compile(r"[0-9a-f]{32}")
_SOMEWHERE = b"below"


def read(target: Target) -> tuple[str, ...]:
    """Return the ids that the entry is marked with."""
    value = get(target, ATTRIBUTE)
    return tuple(_ID.findall(value.decode("latin-1"))) if value else ()


def write(target: Target, marks: tuple[str, ...]) -> bool:
    """Mark the entry with just these ids; say whether the file system keeps marks."""
    try:
        if marks:
            os.setxattr(target, ATTRIBUTE, ",".join(marks).encode())
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
