"""Marks on entries: which overrides follow them when they are moved.

A mark is an attribute that only those can change who may write to the entry. It holds nothing but
ids: what they mean, and whether they mean anything, the server says.
"""

import contextlib
import errno
import os
import re

from compute_agent.host.rights import NO_ACLS, get

#: On the project's directory it says that there may be others below.
ATTRIBUTE = "user.aen.override"
_ID = re.compile(r"[0-9a-f]{32}")
_SOMEWHERE = b"below"


def read(path: str) -> tuple[str, ...]:
    """Return the ids that the entry is marked with."""
    value = get(path, ATTRIBUTE)
    return tuple(_ID.findall(value.decode("latin-1"))) if value else ()


def write(path: str, marks: tuple[str, ...]) -> bool:
    """Mark the entry with just these ids; say whether the file system keeps marks."""
    try:
        if marks:
            os.setxattr(path, ATTRIBUTE, ",".join(marks).encode())
        else:
            os.removexattr(path, ATTRIBUTE)
    except OSError as error:
        if error.errno in NO_ACLS:
            return False
        if error.errno != errno.ENODATA:
            raise
    return True


def are_below(path: str) -> bool:
    """Say whether there may be marks in the project whose directory ``path`` is."""
    return get(path, ATTRIBUTE) is not None


def set_below(path: str, wanted: bool) -> None:
    """Remember that there may be marks, or that there are none."""
    with contextlib.suppress(OSError):
        if wanted and get(path, ATTRIBUTE) is None:
            os.setxattr(path, ATTRIBUTE, _SOMEWHERE)
        elif not wanted:
            os.removexattr(path, ATTRIBUTE)
