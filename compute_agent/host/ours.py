"""Processes that change people's files in this one's place, so that it knows its own changes."""

import math
import os
import time

# What the kernel tells of a process may come after its end.
_REMEMBERED = 5.0
_own = os.getpid()
#: When each ended; ``None`` while it runs.
_ended: dict[int, float | None] = {}


def began(pid: int) -> None:
    """Note that ``pid`` works for this process from now on."""
    _ended[pid] = None


def ended(pid: int) -> None:
    """Note that ``pid`` has ended; its number may soon be another's."""
    now = time.monotonic()
    _ended[pid] = now
    for known, when in list(_ended.items()):
        if when is not None and now - when > _REMEMBERED:
            _ended.pop(known, None)


def is_ours(pid: int) -> bool:
    """Say whether a change that ``pid`` made a moment ago was made for this process, or by it."""
    if pid == _own:
        return True
    when = _ended.get(pid, -math.inf)
    return when is None or time.monotonic() - when < _REMEMBERED
