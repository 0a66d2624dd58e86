"""Directories of a tree, opened from its root one step at a time and never through a link."""

import errno
import os
import stat

from compute_agent.host.mounts import MountCheck
from compute_agent.host.rights import Target

#: As deep as descriptors last, one for each level.
DEEPEST = 300
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Reach:
    """Opens directories below ``root`` and keeps the way to the last one open for the next."""

    def __init__(self, root: int) -> None:
        self.root = root
        info = os.fstat(root)
        self.inode = info.st_ino
        self.device = info.st_dev
        self.mounts = MountCheck(root)
        self._way: list[tuple[bytes, int, int]] = []

    def open(self, path: bytes, inside: int) -> tuple[int, os.stat_result]:
        """Return the directory at ``path`` and its state; the descriptor stays ours.

        ``inside`` is the inode of the directory that it lies in: what is known of the place is
        known of that one. Raises ``OSError``, for another one ``FileNotFoundError``.
        """
        if not path:
            return self.root, os.fstat(self.root)
        parent, inode = self._parent(parts := path.split(b"/"))
        if inode != inside:
            raise FileNotFoundError(path)
        fd = open_directory(parts[-1], parent, self)
        info = os.fstat(fd)
        self._way.append((parts[-1], fd, info.st_ino))
        return fd, info

    def parent(self, path: bytes) -> int:
        """Return the directory that holds ``path``; the descriptor stays ours."""
        return self._parent(path.split(b"/"))[0]

    def is_other(self, fd: int, info: os.stat_result) -> bool:
        """Say whether something else is mounted there."""
        return info.st_dev != self.device or self.mounts.is_other(fd)

    def close(self) -> None:
        """Close all but the root."""
        self._go_back([])

    def _parent(self, parts: list[bytes]) -> tuple[int, int]:
        self._go_back(parts)
        parent, inode = self._way[-1][1:] if self._way else (self.root, self.inode)
        for part in parts[len(self._way) : -1]:
            parent, inode = self._step(parent, part)
        return parent, inode

    def _step(self, parent: int, part: bytes) -> tuple[int, int]:
        fd = os.open(part, DIRECTORY, dir_fd=parent)
        inode = os.fstat(fd).st_ino
        self._way.append((part, fd, inode))
        return fd, inode

    def _go_back(self, parts: list[bytes]) -> None:
        """Close what is open beyond the way to what lies in ``parts[:-1]``."""
        same = 0
        for (name, _, _), part in zip(self._way, parts[:-1], strict=False):
            if name != part:
                break
            same += 1
        for _, fd, _ in self._way[same:]:
            os.close(fd)
        del self._way[same:]


def open_directory(name: bytes, parent: int, reach: Reach) -> int:
    """Open a directory that is not a link. Raises ``OSError``."""
    try:
        return os.open(name, DIRECTORY, dir_fd=parent)
    except PermissionError:
        # Perhaps ours, but closed to ourselves: opened up through a handle first.
        handle = os.open(name, HANDLE | os.O_DIRECTORY, dir_fd=parent)
        try:
            info = os.fstat(handle)
            if reach.is_other(handle, info) or info.st_mode & stat.S_IRWXU == stat.S_IRWXU:
                raise
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(handle)


def open_file(name: str | bytes, parent: int) -> tuple[int, Target]:
    """Open what was a regular file; return the descriptor, and by what to look at and change it.

    Changing a file is quicker through a descriptor for reading than through a handle. Where that
    can't be had (somebody holds a lease on it, or it is closed to us), a handle does. Should it have
    become a FIFO meanwhile, nobody waits. Raises ``OSError``.
    """
    try:
        fd = os.open(name, FILE, dir_fd=parent)
        return fd, fd
    except OSError as error:
        if error.errno in _VANISHED:
            raise
    fd = os.open(name, HANDLE, dir_fd=parent)
    return fd, f"/proc/self/fd/{fd}"
