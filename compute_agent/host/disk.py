"""How much of the disk a directory takes, counted slowly so that nothing else has to wait."""

import contextlib
import os
import stat
import threading

from compute_agent.host.directories import opened

#: Entries between two pauses, and how long those are, in seconds.
_AT_ONCE, _PAUSE = 500, 0.01
#: Each level holds a descriptor; what lies deeper is not counted.
_DEEPEST = 100
#: What ``st_blocks`` counts, whatever the file system's own blocks are.
_BLOCK = 512


class Cancelled(Exception):
    """It is not wanted any more."""


def used(directory: int, cancelled: threading.Event) -> int:
    """Return the bytes that an open directory takes on its file system, in no other.

    A file with several names counts for the share of each: environments have files in common.
    Links are not followed. Raises ``Cancelled``; entries that can't be looked at count nothing.
    """
    info = os.fstat(directory)
    counting = _Counting(info.st_dev, cancelled)
    counting.add(directory, 0)
    return int((counting.blocks + info.st_blocks) * _BLOCK)


class _Counting:
    def __init__(self, device: int, cancelled: threading.Event) -> None:
        self.blocks = 0.0
        self._device = device
        self._cancelled = cancelled
        self._seen = 0

    def add(self, directory: int, depth: int) -> None:
        """Count all that is in a directory, and in those below it."""
        below = []
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            for entry in entries:
                self._go_on()
                with contextlib.suppress(OSError):
                    if self._count(entry.stat(follow_symlinks=False)):
                        below.append(entry.name)
        if depth == _DEEPEST:
            return
        for name in below:
            with contextlib.suppress(OSError), opened(name, directory) as inner:
                self.add(inner, depth + 1)

    def _count(self, info: os.stat_result) -> bool:
        """Count an entry; say whether it is a directory to look into."""
        is_directory = stat.S_ISDIR(info.st_mode)
        if info.st_dev != self._device:
            return False
        self.blocks += info.st_blocks if is_directory else info.st_blocks / max(1, info.st_nlink)
        return is_directory

    def _go_on(self) -> None:
        self._seen += 1
        if self._seen % _AT_ONCE == 0 and self._cancelled.wait(_PAUSE):
            raise Cancelled
