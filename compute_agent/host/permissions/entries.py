"""Securing one entry: through what is open of it, and only as far as it is not right already."""

import errno
import os
import stat
from typing import NamedTuple

from compute_agent.host.permissions.marks import ATTRIBUTE, NONE, Marker, Marks
from compute_agent.host.permissions.policy import CLOSED, Context, Policy
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.rights import NO_ACLS, Target, Wanted, bring, close

_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Entry(NamedTuple):
    """What is open, and what was found of it: its state, context and marks."""

    target: Target
    info: os.stat_result
    path: bytes
    context: Context
    marks: Marks


class Entries:
    """Secures entries and writes down in ``tally`` what came of it.

    ``clean`` turns false once something has to be looked at again by the next pass. Where there
    may be marks of the project's own, it is ``marked``.
    """

    def __init__(self, policy: Policy, tally: Tally, marker: Marker, marked: bool) -> None:
        self.clean = True
        self._marker = marker
        self._marked = marked
        self._tally = tally
        self._policy = policy
        self._rules = policy.rules
        self._linking_is_safe = links_are_protected()
        # Where everything belongs to one person, read-only files may be a template's.
        self._spares_own_links = not policy.rules.spared

    def open(self, target: Target, info: os.stat_result, path: bytes, parent: Context) -> Entry:
        """Return the entry at ``path``, which lies where ``parent`` holds. Raises ``OSError``."""
        found = self._marker.read(target, info.st_ino) if path else NONE
        if found.foreign:
            # Somebody may have moved it here because it is closed to them there.
            self.note(path, f"is closed: another project restricts it ({ATTRIBUTE})")
            return Entry(target, info, path, CLOSED, found)
        context = self._policy.context(parent, path, found.ids)
        if not stat.S_ISDIR(info.st_mode):
            # A file that happens to be named so is not the public folder.
            context = (parent[0], *context[1:])
        return Entry(target, info, path, context, found)

    def directory(self, entry: Entry) -> bool:
        """Secure a directory; say whether that wrote anything."""
        before = self._tally.changed
        try:
            entry = self._taken_over(entry)
            self._bring(entry, self._policy.directory(entry.context, self._owns(entry)))
        except OSError as error:
            self.failed(entry.path, error)
        return self._tally.changed != before

    def file(self, entry: Entry) -> None:
        """Secure a regular file, or take it down as one whose other links have to be found.

        Raises ``OSError``.
        """
        info = entry.info
        if info.st_nlink == 1 or self._may_share(info, entry.context):
            entry = self._taken_over(entry)
            wanted = self._policy.file(entry.context, self._owns(entry), info.st_mode)
            self._bring(entry, wanted)
        elif self._owns(entry) and self._spares_own_links:
            self._tally.unchanged += 1
        else:
            self.clean = False
            self._tally.linked.append((entry.path, info.st_ino, entry.context))

    def _owns(self, entry: Entry) -> bool:
        return entry.info.st_uid == self._rules.owner

    def _may_share(self, info: os.stat_result, context: Context) -> bool:
        """Say whether a file with other links may be changed before these were found.

        The owner's own may, wherever else they are, if only the owner can have made those links.
        Whether it is public, and what overrides say of it, all links decide together.
        """
        if info.st_uid != self._rules.owner or context[0] or self._marked:
            return False
        if self._spares_own_links:
            return bool(info.st_mode & stat.S_IWUSR)
        return self._linking_is_safe

    def _taken_over(self, entry: Entry) -> Entry:
        """Give the project's owner what belongs to somebody who may not write here (any more)."""
        uid = entry.info.st_uid
        if uid in self._rules.spared or self._policy.may_own(uid, entry.context):
            return entry
        os.chown(entry.target, self._rules.owner, -1)
        self.clean = False
        return entry._replace(info=os.stat(entry.target))

    def _bring(self, entry: Entry, wanted: Wanted) -> None:
        if entry.info.st_uid in self._rules.spared:
            self._tally.unchanged += 1
            self.spared(entry.path)
            return
        try:
            marked = self._mark(entry)
            changed = bring(entry.target, entry.info, self._rules.group, wanted) or marked
        except OSError as error:
            if error.errno in _FULL and entry.path:
                close(entry.target, entry.info)
            raise
        if changed:
            self._tally.changed += 1
            self.clean = False
        else:
            self._tally.unchanged += 1

    def _mark(self, entry: Entry) -> bool:
        if not entry.path or entry.marks.foreign:
            return False
        wanted = self._policy.marks(entry.path, entry.marks.ids)
        if wanted == entry.marks.ids:
            return False
        if self._marker.write(entry.target, entry.info.st_ino, wanted):
            return True
        self.note(entry.path, "can't be marked here: rights set on it stay with its path")
        return False

    # --- what does not hold or does not work ---

    def spared(self, path: bytes) -> None:
        """Say so if rights were set on just this entry, which is left as it is."""
        if self._policy.has_own(path):
            self.note(path, "belongs to the system, so rights set on it do not hold")

    def note(self, path: bytes, text: str) -> None:
        """Take down why an entry is not as it should be; the next pass looks at it again."""
        self.clean = False
        self._tally.note(path, text)

    def failed(self, path: bytes, error: OSError) -> None:
        """Go on after an error that concerns one entry; raise any other one."""
        if error.errno in NO_ACLS or error.errno == errno.EROFS or not path:
            raise error
        self.clean = False
        if error.errno in _VANISHED:
            return  # removed or replaced while we looked: the next pass meets what is there then
        self._tally.failed += 1
        if error.errno in _FULL:
            self.note(path, "is closed: there is no space for its access list")
        elif error.errno == errno.EPERM:
            self.note(path, "can't be changed (it is immutable, or not the node's)")
        else:
            self.note(path, f"could not be reached ({os.strerror(error.errno or 0).lower()})")


def links_are_protected() -> bool:
    """Say whether people can link only what they may write to."""
    try:
        with open("/proc/sys/fs/protected_hardlinks") as file:
            return file.read().strip() != "0"
    except OSError:
        return False
