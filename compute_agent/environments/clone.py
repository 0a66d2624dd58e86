"""Copies of an environment that share its files by hard links.

Files stay the template's, owned by the node and read-only to users; directories are the user's,
so that packages can be added, replaced and removed. The few files that belong to one environment
alone (its scripts, its configuration, what names its directory) are copied.
"""

import errno
import os
import shutil
import stat
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from compute_agent.environments.marker import MARKER, read_marker
from compute_agent.envtool.prefix import Baked, rewritten
from compute_agent.host import privileges

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = (errno.EXDEV, errno.EMLINK, errno.EPERM)
# The file system, not Python, takes the time, and it can do several things at once.
_THREADS = 4


class Clone:
    """One copy of a template; ``linked`` is false once a file had to be copied for want of links."""

    def __init__(self, uid: int, gid: int) -> None:
        self._owner = (uid, gid) if privileges.serves_others() else None
        self.linked = True

    def make(self, template: Path, parent: int, name: str, home: Path) -> None:
        """Copy ``template`` to a new directory ``name`` in the open directory ``parent``.

        ``home`` is where it will be when it is used. ``parent`` must be one that only the node can
        enter. Raises ``OSError``, and ``TooLong`` where a program has no room for the path.
        """
        marker = read_marker(template)
        self._private: Mapping[str, Baked] = marker.private
        self._prefixes = marker.prefix, str(home)
        self._source = str(template)
        self._target = f"/proc/self/fd/{parent}/{name}"
        level = [""]
        with ThreadPoolExecutor(_THREADS) as threads:
            while level:  # parents before what is in them
                level = list(chain.from_iterable(threads.map(self._directory, level)))

    def _directory(self, relative: str) -> list[str]:
        """Copy one directory and return the directories in it."""
        # Nobody enters before the pass was there; a default ACL of the parent is taken over whole.
        os.mkdir(self._target + relative, 0o777)  # noqa: PTH102 - thousands of them
        source = os.open(self._source + relative, _OPEN)
        target = os.open(self._target + relative, _OPEN)
        try:
            with os.scandir(source) as entries:
                below = [name for entry in entries
                         if (name := self._entry(source, target, entry, relative))]  # fmt: skip
            self._give(target)
        finally:
            os.close(source)
            os.close(target)
        return [f"{relative}/{name}" for name in below]

    def _entry(
        self, source: int, target: int, entry: os.DirEntry[str], relative: str
    ) -> str | None:
        """Copy one entry; return its name if it is a directory, for later."""
        name = entry.name
        if entry.is_symlink():
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif entry.is_dir(follow_symlinks=False):
            return name
        elif name != MARKER:
            baked = self._private.get(f"{relative}/{name}"[1:])
            if baked is not None or _is_open(entry) or not self._link(source, target, name):
                self._copy(source, target, name, baked or Baked("copy"))
        return None

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

    def _copy(self, source: int, target: int, name: str, baked: Baked) -> None:
        reader = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        with os.fdopen(reader, "rb") as original:
            info = os.fstat(reader)
            # As for directories: a default ACL of the parent is taken over whole.
            rights = 0o777 if info.st_mode & 0o100 else 0o666
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            writer = os.open(name, flags, rights, dir_fd=target)
            with os.fdopen(writer, "wb") as copy:
                if baked.mode == "copy":
                    shutil.copyfileobj(original, copy, 1 << 20)
                else:
                    copy.write(rewritten(original.read(), baked, *self._prefixes))
                copy.flush()
                self._give(writer)
                # Bytecode is valid for the time of its source.
                os.utime(writer, ns=(info.st_atime_ns, info.st_mtime_ns))

    def _give(self, fd: int) -> None:
        if self._owner:
            os.fchown(fd, *self._owner)


def _is_open(entry: os.DirEntry[str]) -> bool:
    """Say whether every account may write to a file, as to uv's lock: no project shares such."""
    return bool(entry.stat(follow_symlinks=False).st_mode & stat.S_IWOTH)
