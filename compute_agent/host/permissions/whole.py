"""A whole pass, in two parts: what a person waits for, and the rest."""

import os
import threading
import time
from pathlib import Path

from compute_agent.host.errors import HostError, mount_of
from compute_agent.host.permissions import known, marks
from compute_agent.host.permissions.linked import Linked
from compute_agent.host.permissions.outcome import Cancelled, Outcome
from compute_agent.host.permissions.policy import Policy
from compute_agent.host.permissions.rules import Rules
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.permissions.walk import START, Place, Walk
from compute_agent.host.permissions.workers import Workers
from compute_agent.host.rights import NO_ACLS

#: Entries from which on more processes are faster than one.
_SMALL = 2500
_LOOK_AGAIN = 0.05
_NEVER = float("inf")


class Pass:
    """One pass over the open project ``directory``, which stays the caller's to close.

    ``known`` is a file below a directory that only the node may write: what an earlier pass found
    to be right is remembered there. All methods raise ``HostError`` where the file system has no
    ACLs and the team needs them, and ``OSError`` for a disk that fails.
    """

    def __init__(self, directory: int, rules: Rules, known: Path | None = None) -> None:
        self._root = directory
        self._policy = Policy(rules)
        self._file = known
        self._tally = Tally()
        self._places: list[Place] = [START]
        self._walk: Walk | None = None
        self._finished = False

    @property
    def looked_at(self) -> int:
        """Entries looked at so far; may be read from another thread."""
        walk = self._walk
        return self._tally.looked_at + (walk.tally.looked_at if walk else 0)

    @property
    def outcome(self) -> Outcome:
        """What was done so far."""
        tally = self._tally
        return Outcome(tally.changed, tally.unchanged, sorted(tally.notes), tally.failed)

    def first(self, seconds: float) -> bool:
        """Do what fits into ``seconds``, outermost entries first; say whether that was all.

        The project's directory itself and the files in it are always done.
        """
        self._go_on(time.monotonic() + seconds, threading.Event())
        return self._finished

    def rest(self, cancelled: threading.Event | None = None) -> Outcome:
        """Do all that is left, and return what was done in both parts. Raises ``Cancelled``."""
        self._go_on(_NEVER, cancelled or threading.Event())
        return self.outcome

    # --- parts ---

    def _go_on(self, deadline: float, cancelled: threading.Event) -> None:
        if self._finished:
            return
        try:
            self._begin(cancelled)
            walk = self._walk
            assert walk is not None
            try:
                self._alone(walk, deadline, cancelled)
                if self._places and time.monotonic() < deadline:
                    self._together(walk, deadline, cancelled)
                if not self._places:
                    self._end(walk)
            finally:
                self._tally.add(walk.tally.message())
                walk.reach.close()
        except OSError as error:
            if error.errno in NO_ACLS:
                raise _no_acls(self._root) from None
            raise

    def _begin(self, cancelled: threading.Event) -> None:
        if self._walk is not None:
            return
        self._marked = bool(self._policy.rules.overrides) or marks.are_below(self._root)
        self._walk = Walk(self._root, self._policy, marked=self._marked)
        if self._file is not None and known.is_telling(self._walk.reach):
            self._key = known.key(self._policy, self._walk.reach)
            self._records = known.load(self._file, self._key)
            self._walk.known = self._records
        else:
            self._file, self._records = None, {}
        if self._policy.rules.overrides:
            marks.set_below(self._root, True)
        if cancelled.is_set():
            raise Cancelled
        self._places = self._walk.visit(START)

    def _alone(self, walk: Walk, deadline: float, cancelled: threading.Event) -> None:
        """Visit as much as is not worth starting processes for."""
        begun = self.looked_at
        # In the order in which they were found: what lies deeper comes later.
        while self._places and self.looked_at - begun < _SMALL:
            if cancelled.is_set():
                raise Cancelled
            if time.monotonic() >= deadline:
                return
            self._places += walk.visit(self._places.pop(0))

    def _together(self, walk: Walk, deadline: float, cancelled: threading.Event) -> None:
        """Share what is left with other processes, and go on alone until they are ready."""
        workers = Workers(self._root, self._policy, self._records, self._marked)
        try:
            while self._places or workers.are_busy:
                if cancelled.is_set():
                    raise Cancelled
                if time.monotonic() < deadline:
                    workers.deal(self._places)
                elif not workers.are_busy:
                    return
                if self._places and (not workers.are_ready or workers.are_gone):
                    self._places += walk.visit(self._places.pop())
                    workers.collect(self._places, self._tally, 0)
                else:
                    workers.collect(self._places, self._tally, _LOOK_AGAIN)
        finally:
            workers.close()

    def _end(self, walk: Walk) -> None:
        """Decide on what could not be decided before all was seen, and remember what is right."""
        self._tally.add(walk.tally.message())
        found, self._tally.linked = self._tally.linked, []
        Linked(self._policy, walk.reach, self._tally).settle(found)
        if self._marked and not self._policy.rules.overrides:
            marks.set_below(self._root, False)
        if self._file is not None:
            learned = dict(self._tally.learned)
            if learned != self._records:
                known.save(self._file, self._key, learned)
        self._finished = True


def secure(
    directory: int,
    rules: Rules,
    cancelled: threading.Event | None = None,
    known: Path | None = None,
) -> Outcome:
    """Apply ``rules`` to the open project ``directory`` and all in it, in one go."""
    return Pass(directory, rules, known).rest(cancelled)


def _no_acls(directory: int) -> HostError:
    mount = mount_of(os.readlink(f"/proc/self/fd/{directory}"))
    return HostError(
        f"The file system at {mount} keeps no access lists, which a team's project needs.",
        f"An administrator can switch them on: mount -o remount,acl {mount}",
    )
