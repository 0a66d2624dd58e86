"""Whether somebody other than root could change a file that decides what the node does."""

import os
import stat
from pathlib import Path

from compute_agent.host.errors import HostError
from compute_agent.host.reachable import way

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def require(path: Path) -> None:
    """Raise ``HostError`` where others than root can change what decides what the agent does."""
    try:
        weak = weak_spot(path)
    except OSError as error:
        raise HostError(f"{error.filename or path}: {error.strerror}.") from None
    if weak is not None:
        raise HostError(
            f"Others than root can change {weak}, and so what the node does as other accounts.",
            f"An administrator can mend that: chown root:root {weak} && chmod go-w {weak}",
        )


def weak_spot(path: Path) -> Path | None:
    """Return what others than root can change of ``path`` or of the way to it, or ``None``.

    A directory is looked at with all that is in it. Raises ``OSError`` for what is not there.
    """
    for place in way(path):
        if is_weak(place.stat(), in_it=False):
            return place
    return _weak_part(path.resolve(strict=True))


def is_weak(info: os.stat_result, in_it: bool = True) -> bool:
    """Say whether others can change what ``info`` is of; ``in_it`` is false for a way to it.

    A group's right counts, as it is also what an access list shows; root's own group is root.
    """
    others = info.st_mode & _OTHERS_WRITE
    if info.st_gid == 0 and not info.st_mode & stat.S_IWOTH:
        others = 0
    sticky = bool(info.st_mode & stat.S_ISVTX) and not in_it
    return info.st_uid != 0 or bool(others and not sticky)


def _weak_part(path: Path) -> Path | None:
    if is_weak(path.stat()):
        return path
    if not path.is_dir():
        return None
    for directory, directories, files in os.walk(path):
        for name in (*directories, *files):
            entry = Path(directory, name)
            info = entry.lstat()
            # What a link leads to is looked at only where somebody names it.
            if info.st_uid != 0 or (not entry.is_symlink() and is_weak(info)):
                return entry
    return None
