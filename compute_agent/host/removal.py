"""Deleting a tree that a user filled: of any depth, without following links, past no mount.

Directories are lifted to the top of the tree before they are emptied. So two descriptors are
enough however deep somebody nested them, and a mount point refuses to be moved before anything
on it is touched.
"""

import contextlib
import errno
import os
import secrets
import stat

from compute_agent.host import privileges

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
#: How often to begin again where somebody fills what is being emptied.
_ROUNDS = 20


def remove_tree(name: str, parent: int) -> None:
    """Delete the entry ``name`` of the open directory ``parent`` and all below it.

    Nothing there is no error. Raises ``OSError``, with ``EBUSY`` for a mount point inside.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=parent)
            return
        for left in reversed(range(_ROUNDS)):
            _empty(name, parent)
            try:
                os.rmdir(name, dir_fd=parent)
                return
            except OSError as error:
                if error.errno != errno.ENOTEMPTY or not left:
                    raise


def _empty(name: str, parent: int) -> None:
    top = _open(name, parent)
    try:
        waiting = _lift(top, top)
        while waiting:
            below = waiting.pop()
            directory = _open(below, top)
            try:
                waiting += _lift(directory, top)
            finally:
                os.close(directory)
            with contextlib.suppress(OSError):  # filled again: the next round meets it
                os.rmdir(below, dir_fd=top)
    finally:
        os.close(top)


def _lift(directory: int, top: int) -> list[str]:
    """Delete the files in ``directory``; move its directories to ``top``, return their names."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    lifted = []
    for name, is_directory in found:
        with contextlib.suppress(FileNotFoundError):
            if is_directory:
                fresh = secrets.token_hex(8)
                _move(name, directory, fresh, top)
                lifted.append(fresh)
            else:
                os.unlink(name, dir_fd=directory)
    return lifted


def _move(name: str, source: int, fresh: str, target: int) -> None:
    try:
        os.rename(name, fresh, src_dir_fd=source, dst_dir_fd=target)
    except PermissionError:
        # Moving a directory writes its "..", which its owner may have closed.
        _open_up(name, source)
        os.rename(name, fresh, src_dir_fd=source, dst_dir_fd=target)


def _open(name: str, parent: int) -> int:
    with contextlib.suppress(PermissionError):
        fd = os.open(name, _OPEN, dir_fd=parent)
        if privileges.serves_others() or _is_open(fd):
            return fd
        os.close(fd)
    _open_up(name, parent)
    return os.open(name, _OPEN, dir_fd=parent)


def _is_open(fd: int) -> bool:
    return os.fstat(fd).st_mode & stat.S_IRWXU == stat.S_IRWXU


def _open_up(name: str, parent: int) -> None:
    """Give its owner all rights to a directory, through a handle so that no link is followed."""
    handle = os.open(name, _HANDLE | os.O_DIRECTORY, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
    finally:
        os.close(handle)
