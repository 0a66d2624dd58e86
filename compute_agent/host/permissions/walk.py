"""Going through a project's directories, one at a time and in any order.

It runs as root on trees that their users change at the same time, so it names nothing twice: an
entry is opened without following a link, looked at through the descriptor, and changed through
the same descriptor. What is right already is not written.
"""

import errno
import os
import stat
from typing import NamedTuple

from compute_agent.host.permissions import marks
from compute_agent.host.permissions.listing import Listing
from compute_agent.host.permissions.policy import PUBLIC, Context, Policy
from compute_agent.host.permissions.reach import DEEPEST, HANDLE, Reach
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.rights import NO_ACLS, Wanted, bring, is_right

#: A directory to visit: its path, and inode and context of the one that it lies in.
Place = tuple[bytes, int, Context]
START: Place = (b"", 0, (False, ()))

_VANISHED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MOST_FAILED = 20
_NOT_OURS = "belongs to the system, so rights set on it do not hold"


class _Entry(NamedTuple):
    """What is open, and what was found of it: ``handle`` is a path that nobody can swap."""

    handle: str
    info: os.stat_result
    path: bytes
    context: Context
    marks: tuple[str, ...]


class Walk:
    """Visits directories below the open ``root``; ``tally`` says what came of it.

    ``known`` are digests of directories by inode in which an earlier pass found all to be right.
    Only where ``marked`` are marks of overrides looked for.
    """

    def __init__(self, root: int, policy: Policy, known: dict[int, bytes], marked: bool) -> None:
        self.tally = Tally()
        self.reach = Reach(root)
        self._policy = policy
        self._rules = policy.rules
        self.known = known
        self._marked = marked
        self._clean = True
        self._linking_is_safe = links_are_protected()
        # Where everything belongs to one person, read-only files may be a template's.
        self._spares_own_links = not policy.rules.spared

    def visit(self, place: Place) -> list[Place]:
        """Secure a directory and the files in it; return the directories in it.

        Raises ``OSError`` only where going on makes no sense.
        """
        path, inside, parent = place
        if path.count(b"/") >= DEEPEST:
            self.tally.note(path, f"lies more than {DEEPEST} folders deep")
            return []
        try:
            fd, info = self.reach.open(path, inside)
            if self.reach.is_other(fd, info):
                self.tally.note(path, "is a mount point")
                return []
            return self._directory(fd, info, path, parent)
        except OSError as error:
            if self.reach.mounts.has(path):  # one that only its user can enter
                self.tally.note(path, "is a mount point")
            else:
                self._failed(path, error)
            return []

    # --- a directory ---

    def _directory(
        self, fd: int, info: os.stat_result, path: bytes, parent: Context
    ) -> list[Place]:
        entry = self._entry(fd, info, path, parent)
        context = entry.context
        where = path if self._policy.overrides_below(path) else b""
        self._clean = True
        listing = self._unchanged(fd, context, where)
        if listing is None:
            changed = self._secure_directory(entry)
            listing = Listing(fd)
            digest = listing.digest(context, where)
            self._files(fd, listing, path, context)
            same = listing.info.st_ctime_ns == info.st_ctime_ns
            if self._clean and not changed and same and listing.is_settled():
                self.tally.learned.append((info.st_ino, digest))
        self.tally.looked_at += 1 + len(listing.names)
        prefix = path + b"/" if path else b""
        return [(prefix + os.fsencode(name), info.st_ino, context) for name in listing.directories]

    def _unchanged(self, fd: int, context: Context, where: bytes) -> Listing | None:
        """Return the listing of a directory in which nothing changed since all was right."""
        inode = os.fstat(fd).st_ino
        known = self.known.get(inode)
        if known is None:
            return None
        listing = Listing(fd)
        if listing.odd or listing.digest(context, where) != known:
            return None
        self.tally.unchanged += 1 + len(listing.names)
        self.tally.learned.append((inode, known))
        return listing

    def _secure_directory(self, entry: _Entry) -> bool:
        """Secure the directory itself; say whether that wrote anything."""
        before = self.tally.changed
        try:
            self._bring(entry, self._policy.directory(entry.context, entry.info.st_uid))
        except OSError as error:
            self._failed(entry.path, error)
        return self.tally.changed != before

    # --- files ---

    def _files(self, fd: int, listing: Listing, path: bytes, context: Context) -> None:
        prefix = path + b"/" if path else b""
        for name, reason in listing.odd:
            self._note(prefix + os.fsencode(name), f"could not be looked at ({reason})")
        # Each file's own overrides have to be asked for only where there are any.
        one_by_one = self._marked or bool(self._policy.overrides_below(path))
        rules, tally = self._rules, self.tally
        for name, info in zip(listing.names, listing.infos, strict=True):
            if not stat.S_ISREG(info.st_mode) or info.st_uid in rules.spared:
                # Most files of an environment are root's: for those one look is enough.
                tally.unchanged += 1
                self._spared(prefix, name, info)
                continue
            try:
                if not one_by_one and info.st_nlink == 1:
                    wanted = self._policy.file(context, info.st_uid, info.st_mode)
                    if is_right(f"/proc/self/fd/{fd}/{name}", info, rules.group, wanted):
                        tally.unchanged += 1
                        if context[1]:
                            self._say_if_idle(prefix + os.fsencode(name), info, context, wanted)
                        continue
                self._file(fd, name, prefix + os.fsencode(name), context)
            except OSError as error:
                self._failed(prefix + os.fsencode(name), error)

    def _file(self, parent: int, name: str, path: bytes, context: Context) -> None:
        """Secure a file through a handle of its own."""
        fd = os.open(name, HANDLE, dir_fd=parent)
        try:
            info = os.fstat(fd)
            if self.reach.is_other(fd, info):
                self._note(path, "is a mount point")
            elif stat.S_ISREG(info.st_mode):
                self._regular(fd, info, path, context)
        finally:
            os.close(fd)

    def _regular(self, fd: int, info: os.stat_result, path: bytes, context: Context) -> None:
        entry = self._entry(fd, info, path, context)
        if info.st_nlink == 1 or self._may_share(info, entry.context):
            self._bring(entry, self._policy.file(entry.context, info.st_uid, info.st_mode))
        elif info.st_uid == self._rules.owner and self._spares_own_links:
            self.tally.unchanged += 1
        else:
            self._clean = False
            self.tally.linked.append((path, info.st_ino, entry.context))

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

    # --- one entry ---

    def _entry(self, fd: int, info: os.stat_result, path: bytes, parent: Context) -> _Entry:
        handle = f"/proc/self/fd/{fd}"
        found = marks.read(handle) if self._marked and path else ()
        return _Entry(handle, info, path, self._policy.context(parent, path, found), found)

    def _bring(self, entry: _Entry, wanted: Wanted) -> None:
        """Make the entry as ``wanted``, unless it is one that is spared."""
        if entry.info.st_uid in self._rules.spared:
            self.tally.unchanged += 1
            if self._policy.has_own(entry.path):
                self._note(entry.path, _NOT_OURS)
            return
        changed = self._mark(entry)
        if bring(entry.handle, entry.info, self._rules.group, wanted) or changed:
            self.tally.changed += 1
            self._clean = False
        else:
            self.tally.unchanged += 1
        self._say_if_idle(entry.path, entry.info, entry.context, wanted)

    def _mark(self, entry: _Entry) -> bool:
        if not self._marked or not entry.path:
            return False
        wanted = self._policy.marks(entry.path, entry.marks)
        if wanted == entry.marks:
            return False
        if marks.write(entry.handle, wanted):
            return True
        self._note(entry.path, "can't be marked here: rights set on it stay with its path")
        return False

    def _say_if_idle(
        self, path: bytes, info: os.stat_result, context: Context, wanted: Wanted
    ) -> None:
        if context[1] and self._policy.is_idle(context, info.st_uid, wanted):
            self._note(path, "belongs to somebody whom it should be kept from; that does not hold")

    def _spared(self, prefix: bytes, name: str, info: os.stat_result) -> None:
        if self._policy.overrides_below(prefix[:-1]) and stat.S_ISREG(info.st_mode):
            path = prefix + os.fsencode(name)
            if self._policy.has_own(path):
                self._note(path, _NOT_OURS)

    # --- what does not work ---

    def _note(self, path: bytes, text: str) -> None:
        """Take down why an entry is not as it should be; the next pass looks at it again."""
        self._clean = False
        self.tally.note(path, text)

    def _failed(self, path: bytes, error: OSError) -> None:
        """Go on after an error that concerns one entry; raise any other one."""
        if error.errno in NO_ACLS or error.errno == errno.EROFS or not path:
            raise error
        self._clean = False
        if error.errno in _VANISHED:
            return  # removed or replaced while we looked: the next pass meets what is there then
        self.tally.failed += 1
        if error.errno in _FULL:
            if self.tally.failed >= _MOST_FAILED:
                raise error
            self._note(path, "could not be given its access list (no space left)")
        elif error.errno == errno.EPERM:
            self._note(path, "can't be changed (it is immutable, or not the node's)")
        else:
            self._note(path, f"could not be reached ({os.strerror(error.errno or 0).lower()})")


def links_are_protected() -> bool:
    """Say whether people can link only what they may write to."""
    try:
        with open("/proc/sys/fs/protected_hardlinks") as file:
            return file.read().strip() != "0"
    except OSError:
        return False


__all__ = ["PUBLIC", "START", "Place", "Walk", "links_are_protected"]
