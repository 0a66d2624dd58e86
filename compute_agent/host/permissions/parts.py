"""Only what was touched: the directories on the way to it, and what lies below it."""

import os
import time
from collections.abc import Iterable

from compute_agent.host.permissions import marks
from compute_agent.host.permissions.outcome import Outcome
from compute_agent.host.permissions.policy import Policy
from compute_agent.host.permissions.rules import Rules
from compute_agent.host.permissions.walk import START, Place, Walk


def secure_parts(
    directory: int, rules: Rules, places: Iterable[bytes], seconds: float
) -> Outcome | None:
    """Apply ``rules`` to ``places``, paths below the open project ``directory``, and below them.

    Returns ``None`` where only a whole pass can tell: after ``seconds``, where a file has links
    elsewhere, and where something goes wrong that a whole pass would name.
    """
    marked = bool(rules.overrides) or marks.are_below(directory)
    walk = Walk(directory, Policy(rules), marked=marked)
    try:
        done = _visit(walk, _Wanted(places), time.monotonic() + seconds)
    except OSError:
        return None
    finally:
        walk.reach.close()
    tally = walk.tally
    if not done or tally.linked:
        return None
    return Outcome(tally.changed, tally.unchanged, sorted(tally.notes), tally.failed)


class _Wanted:
    """Says of directories whether they are on the way to one of ``places``, or below it."""

    def __init__(self, places: Iterable[bytes]) -> None:
        self._places = frozenset(places)
        self._way = {path for place in self._places for path in _above(place)}

    def leads_to(self, path: bytes) -> bool:
        return path in self._way or self.has(path)

    def has(self, path: bytes) -> bool:
        return path in self._places or any(above in self._places for above in _above(path))


def _above(path: bytes) -> Iterable[bytes]:
    while b"/" in path:
        path = os.path.dirname(path)
        yield path


def _visit(walk: Walk, wanted: _Wanted, end: float) -> bool:
    """Visit all that is wanted; say whether the time was enough for that."""
    waiting: list[Place] = [START]
    while waiting:
        if time.monotonic() > end:
            return False
        waiting += [below for below in walk.visit(waiting.pop()) if wanted.leads_to(below[0])]
    return True
