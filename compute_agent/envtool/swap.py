"""Putting one directory in the place of another, so that there is always one of them."""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2
_UNSUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(fresh: Path, path: Path) -> None:
    """Swap two directories at once; where the file system can't, one after the other."""
    if not _rename(fresh, path, _RENAME_EXCHANGE):
        old = fresh.with_name(fresh.name + "0")
        path.rename(old)
        fresh.rename(path)
        old.rename(fresh)


def move_in(fresh: Path, path: Path) -> None:
    """Move ``fresh`` to ``path``, where nothing must be yet. Raises ``FileExistsError``."""
    if not _rename(fresh, path, _RENAME_NOREPLACE):
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        fresh.rename(path)


def _rename(source: Path, target: Path, flag: int) -> bool:
    """Return whether it was done; ``False`` where the system knows no such renaming."""
    names = os.fsencode(source), os.fsencode(target)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flag) == 0:
        return True
    error = ctypes.get_errno()
    if error in _UNSUPPORTED:
        return False
    raise OSError(error, os.strerror(error), str(source))
