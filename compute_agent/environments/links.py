"""A copy of a project's own environment, of links alone.

The source is a user's, who may change it meanwhile: it is walked by descriptors, no link is
followed, and nothing in it is read.
"""

import os
import stat
from collections.abc import Callable

from compute_agent.host.directories import opened

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEPEST = 60


def link_tree(source: int, parent: int, name: str, give: Callable[[int], None]) -> None:
    """Make the directory ``name`` in ``parent`` with links to all files of the open ``source``.

    ``give`` makes a new directory the owner's. ``parent`` must be one that only the node can
    enter. Raises ``OSError``, also where a file cannot be linked.
    """
    _link(source, parent, name, give, 0)


def _link(source: int, parent: int, name: str, give: Callable[[int], None], depth: int) -> None:
    if depth > _DEEPEST:
        raise OSError(f"{name} lies more than {_DEEPEST} folders deep")
    # Nobody enters before the pass was there; a default ACL of the parent is taken over whole.
    os.mkdir(name, 0o777, dir_fd=parent)
    with opened(name, parent) as target:
        with os.scandir(source) as entries:
            for entry in entries:
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.name, dir_fd=source), entry.name, dir_fd=target)
                elif entry.is_dir(follow_symlinks=False):
                    with opened(entry.name, source) as below:
                        _link(below, target, entry.name, give, depth + 1)
                elif stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                    os.link(entry.name, entry.name, src_dir_fd=source, dst_dir_fd=target,
                            follow_symlinks=False)  # fmt: skip
        give(target)
