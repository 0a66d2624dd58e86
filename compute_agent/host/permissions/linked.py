"""Files with several links: the team's only if all their links are in the project.

Somebody may have linked here what belongs elsewhere, and may move links about while they are
counted. So all are looked at once more, between two looks at a file that has not changed.
"""

import os
import stat
import time
from collections.abc import Iterable

from compute_agent.host.permissions.entries import links_are_protected
from compute_agent.host.permissions.listing import TICK_NS
from compute_agent.host.permissions.marks import Marker, Marks
from compute_agent.host.permissions.policy import CLOSED, Context, Policy
from compute_agent.host.permissions.reach import Reach, open_file
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.rights import Target, bring

Places = dict[bytes, Context]


class Linked:
    """Decides on the files with several links that a pass came across."""

    def __init__(self, policy: Policy, reach: Reach, tally: Tally) -> None:
        self._policy = policy
        self._reach = reach
        self._marker = Marker(reach.root, policy.rules.key)
        self._tally = tally

    def settle(self, found: Iterable[tuple[bytes, int, Context]]) -> None:
        """Secure those of the ``found`` (path, inode, context) that are the project's alone."""
        files: dict[int, Places] = {}
        for path, inode, context in found:
            files.setdefault(inode, {})[path] = context
        for inode, places in files.items():
            path = min(places)
            try:
                fd, target = open_file(path.rpartition(b"/")[2], self._reach.parent(path))
            except OSError:
                continue  # gone: the next pass meets what is there then
            try:
                self._settle(fd, target, inode, places)
            except OSError as error:
                self._tally.failed += 1
                reason = os.strerror(error.errno or 0).lower()
                self._tally.note(path, f"can't be changed ({reason})")
            finally:
                os.close(fd)

    def _settle(self, fd: int, target: Target, inode: int, places: Places) -> None:
        info = os.fstat(fd)
        if info.st_ino != inode or self._reach.is_other(fd, info) or not stat.S_ISREG(info.st_mode):
            return
        context = self._policy.least(places.values())
        if info.st_nlink > len(places):
            if info.st_uid != self._policy.rules.owner or not links_are_protected():
                self._tally.note(min(places), "is a hard link to a file outside the project")
                return
            # The owner's own, wherever else it is: but then it is not public.
            context = (False, *context[1:])
        elif not self._are_all(fd, inode, places):
            return
        self._bring(target, os.fstat(fd), places, context)

    def _bring(
        self, target: Target, info: os.stat_result, places: Places, context: Context
    ) -> None:
        found, rules = self._marker.read(target, info.st_ino), self._policy.rules
        if found.foreign:
            self._tally.note(min(places), "is closed: another project restricts it")
            context = CLOSED
        if info.st_uid not in rules.spared and not self._policy.may_own(info.st_uid, context):
            os.chown(target, rules.owner, -1)
            info = os.stat(target)
        wanted = self._policy.file(context, info.st_uid == rules.owner, info.st_mode)
        marked = self._mark(target, info.st_ino, places, found)
        changed = bring(target, info, rules.group, wanted) or marked
        if changed:
            self._tally.changed += 1
        else:
            self._tally.unchanged += 1

    def _are_all(self, fd: int, inode: int, places: Places) -> bool:
        """Say whether the file has just these links, all of them at one time."""
        # Younger than that, and a move of a link between the two looks might not show.
        wait = os.fstat(fd).st_ctime_ns + TICK_NS - time.time_ns()
        if 0 < wait <= TICK_NS:
            time.sleep(wait / 1e9 + 0.001)
        begun = time.time_ns()
        before = os.fstat(fd)
        if not all(self._inode(path) == inode for path in places):
            return False
        after = os.fstat(fd)
        quiet = before.st_ctime_ns == after.st_ctime_ns < begun - TICK_NS
        return quiet and after.st_nlink == len(places)

    def _inode(self, path: bytes) -> int:
        try:
            parent, name = self._reach.parent(path), path.rpartition(b"/")[2]
            return os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino
        except OSError:
            return 0

    def _mark(self, target: Target, inode: int, places: Places, found: Marks) -> bool:
        if found.foreign:
            return False
        ids = {mark for path in places for mark in self._policy.marks(path, found.ids)}
        wanted = tuple(sorted(ids))
        return wanted != found.ids and self._marker.write(target, inode, wanted)
