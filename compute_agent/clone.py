"""Copies of a template environment that share its files by hard links.

Files stay the template's, owned by the node and read-only to users; directories are the user's,
so that packages can be added, replaced and removed. The few files that belong to one environment
alone (its scripts and configuration) are copied.
"""

import errno
import os
import shutil
from pathlib import Path

from compute_agent.environments import MARKER

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PRIVATE = ("bin", "pyvenv.cfg")
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM)


class Clone:
    """One copy. ``files`` counts entries; ``linked`` is false once a file had to be copied."""

    def __init__(self, uid: int, gid: int) -> None:
        self._owner = (uid, gid) if os.geteuid() == 0 else None
        self.files = 0
        self.linked = True

    def make(self, template: Path, parent: int, name: str) -> None:
        """Copy ``template`` to a new directory ``name`` in the open directory ``parent``.

        ``parent`` must be one that only the node can enter. Raises ``OSError``.
        """
        source = os.open(template, _FLAGS)
        try:
            self._directory(source, parent, name, private=False, top=True)
        finally:
            os.close(source)

    def _directory(self, source: int, parent: int, name: str, private: bool, top: bool) -> None:
        os.mkdir(name, 0o755, dir_fd=parent)
        target = os.open(name, _FLAGS, dir_fd=parent)
        try:
            with os.scandir(source) as entries:
                for entry in entries:
                    if not (top and entry.name == MARKER):
                        alone = private or (top and entry.name in _PRIVATE)
                        self._entry(source, target, entry, alone)
            self._give(target)
        finally:
            os.close(target)

    def _entry(self, source: int, target: int, entry: os.DirEntry[str], private: bool) -> None:
        self.files += 1
        if entry.is_symlink():
            link = os.readlink(entry.name, dir_fd=source)
            os.symlink(link, entry.name, dir_fd=target)
        elif entry.is_dir(follow_symlinks=False):
            below = os.open(entry.name, _FLAGS, dir_fd=source)
            try:
                self._directory(below, target, entry.name, private, top=False)
            finally:
                os.close(below)
        elif private or not self._link(source, target, entry.name):
            self._copy(source, target, entry.name)

    def _link(self, source: int, target: int, name: str) -> bool:
        if not self.linked:
            return False
        try:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self.linked = False
            return False
        return True

    def _copy(self, source: int, target: int, name: str) -> None:
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        with os.fdopen(reader, "rb") as original:
            info = os.fstat(reader)
            rights = (info.st_mode & 0o777) | 0o200
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            writer = os.open(name, flags, rights, dir_fd=target)
            with os.fdopen(writer, "wb") as copy:
                shutil.copyfileobj(original, copy, 1 << 20)
                copy.flush()
                self._give(writer)
                # Bytecode is valid for the time of its source.
                os.utime(writer, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _give(self, fd: int) -> None:
        if self._owner:
            os.fchown(fd, *self._owner)
