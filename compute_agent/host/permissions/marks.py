"""Marks on entries: which overrides follow them when they are moved.

A mark holds the project's name and ids: what they mean, and whether they mean anything, the server
says. In another project it says that the entry was restricted where it comes from. People who may
write to an entry can take its mark away, but not make one: it is signed, for this inode alone, with
a key that only the node has.
"""

import contextlib
import errno
import hashlib
import hmac
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


class Marker:
    """Reads and writes the marks of entries of the project whose open directory this is."""

    def __init__(self, directory: int, key: bytes) -> None:
        self._project = "/".join(os.readlink(f"/proc/self/fd/{directory}").split("/")[-2:])
        self._key = key

    def read(self, target: Target, inode: int) -> Marks:
        """Return what the entry is marked with; one that somebody else made or moved is none."""
        value = get(target, ATTRIBUTE)
        if not value:
            return NONE
        text, _, signature = value.rpartition(b":")
        if not hmac.compare_digest(signature, self._signature(text, inode)):
            return NONE
        project, _, ids = os.fsdecode(text).rpartition(":")
        return Marks(tuple(_ID.findall(ids)), project != self._project)

    def write(self, target: Target, inode: int, ids: tuple[str, ...]) -> bool:
        """Mark the entry with just these ids; say whether the file system keeps marks."""
        text = os.fsencode(f"{self._project}:{','.join(ids)}")
        try:
            if ids:
                os.setxattr(target, ATTRIBUTE, text + b":" + self._signature(text, inode))
            else:
                os.removexattr(target, ATTRIBUTE)
        except OSError as error:
            if error.errno in NO_ACLS:
                return False
            if error.errno != errno.ENODATA:
                raise
        return True

    def _signature(self, text: bytes, inode: int) -> bytes:
        signed = b"%d:%s" % (inode, text)
        return hashlib.blake2b(signed, digest_size=16, key=self._key).hexdigest().encode()


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
