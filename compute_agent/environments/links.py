"""A copy of a project's own environment, of links alone.

The source is a user's, who may change it meanwhile: it is walked by descriptors, no link is
followed, and nothing in it is read. Folders of the copy have the rights of those they are copies
of, and files are the same ones, so what was set by hand for somebody counts in the copy. A folder
can be moved out of others, though, and then be copied. So nothing is linked that the kernel would
not let the one who asks link: what is closed to them, or only to their writing, is not copied.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable
from typing import NamedTuple

from compute_agent.host import acl
from compute_agent.host.access import Who, granted
from compute_agent.host.directories import opened
from compute_agent.host.permissions import Cancelled

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 60


class Asker(NamedTuple):
    """For whom a copy is made. Files of ``shared`` ids keep their rights wherever they are linked."""

    who: Who
    shared: frozenset[int]
    cancelled: threading.Event

    def go_on(self) -> None:
        if self.cancelled.is_set():
            raise Cancelled

    def may_enter(self, directory: int) -> bool:
        return granted(directory, os.fstat(directory), self.who).effective & 5 == 5

    def may_link(self, file: int) -> bool:
        """Say what ``fs.protected_hardlinks`` would: their own, or theirs to read and write."""
        info = os.fstat(file)
        if info.st_uid in self.shared or info.st_uid == self.who.uid:
            return True
        return granted(file, info, self.who).effective & 6 == 6


def link_tree(
    source: int, parent: int, name: str, give: Callable[[int], None], asker: Asker
) -> None:
    """Make the directory ``name`` in ``parent`` with links to all files of the open ``source``.

    ``give`` makes a new directory the owner's. ``parent`` must be one that only the node can
    enter. Raises ``OSError``, also where a file cannot be linked or is closed to the ``asker``, and
    ``Cancelled``.
    """
    _link(source, parent, name, give, asker, depth=0)


def _link(
    source: int, parent: int, name: str, give: Callable[[int], None], asker: Asker, *, depth: int
) -> None:
    if depth > _DEEPEST:
        raise OSError(f"{name} lies more than {_DEEPEST} folders deep")
    if not asker.may_enter(source):
        raise _closed(name)
    # Nobody enters before the pass was there; a default ACL of the parent is taken over whole.
    os.mkdir(name, 0o777, dir_fd=parent)
    with opened(name, parent) as target:
        with os.scandir(source) as entries:
            for entry in entries:
                asker.go_on()
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.name, dir_fd=source), entry.name, dir_fd=target)
                elif entry.is_dir(follow_symlinks=False):
                    with opened(entry.name, source) as below:
                        _link(below, target, entry.name, give, asker, depth=depth + 1)
                elif entry.is_file(follow_symlinks=False):
                    _link_file(entry.name, source, target, asker)
        give(target)
        _copy_rights(source, target)


def _copy_rights(source: int, target: int) -> None:
    """Give one directory the access lists of another, as far as there are any."""
    for attribute in (acl.DEFAULT, acl.ACCESS):
        try:
            os.setxattr(target, attribute, os.getxattr(source, attribute))
        except OSError as error:
            if error.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise


def _link_file(name: str, source: int, target: int, asker: Asker) -> None:
    file = os.open(name, _HANDLE, dir_fd=source)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):  # changed meanwhile
            return
        if not asker.may_link(file):
            raise _closed(name)
        # The file that was looked at, whatever has its name by now.
        os.link(f"/proc/self/fd/{file}", name, dst_dir_fd=target)
    finally:
        os.close(file)


def _closed(name: str) -> OSError:
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
