"""Going through a project's directories, one at a time and in any order.

It runs as root on trees that their users change at the same time, so what it changes it names by
a descriptor: an entry is opened without following a link, looked at through the descriptor, and
changed through the same descriptor. What is right already is not written.
"""

import os
import stat
from collections.abc import Iterator

from compute_agent.host.acl import ACCESS
from compute_agent.host.permissions.entries import Entries
from compute_agent.host.permissions.listing import Listing
from compute_agent.host.permissions.marks import ATTRIBUTE, Marker
from compute_agent.host.permissions.policy import OPEN, Context, Policy
from compute_agent.host.permissions.reach import DEEPEST, FILE, Reach, open_file
from compute_agent.host.permissions.tally import Tally
from compute_agent.host.rights import SPECIAL, Wanted, is_set

#: A directory to visit: its path, and inode and context of the one that it lies in.
Place = tuple[bytes, int, Context]
START: Place = (b"", 0, OPEN)


class Walk:
    """Visits directories below the open ``root``; ``tally`` says what came of it.

    ``known`` are digests of directories by inode in which an earlier pass found all to be right.
    ``own_directory`` says that nothing else in this process minds where its working directory is,
    which makes paths short.
    """

    def __init__(
        self, root: int, policy: Policy, *, marked: bool, own_directory: bool = False
    ) -> None:
        self.known: dict[int, bytes] = {}
        self.tally = Tally()
        self.reach = Reach(root)
        self._policy = policy
        self._entries = Entries(policy, self.tally, Marker(root, policy.rules.key), marked)
        self._marked = marked
        self._own_directory = own_directory

    def visit(self, place: Place) -> list[Place]:
        """Secure a directory and the files in it; return the directories in it.

        Raises ``OSError`` only where going on makes no sense.
        """
        path, inside, parent = place
        if path.count(b"/") >= DEEPEST:
            self.tally.note(path, f"lies more than {DEEPEST} folders deep")
            return []
        if self.reach.mounts.has(path):
            # Not even opened: a file system that some user answers for may keep us waiting.
            self.tally.note(path, "is a mount point")
            return []
        try:
            fd, info = self.reach.open(path, inside)
            if self.reach.is_other(fd, info):
                self.tally.note(path, "is a mount point")
                return []
            return self._directory(fd, info, path, parent)
        except OSError as error:
            self._entries.failed(path, error)
            return []

    def _directory(
        self, fd: int, info: os.stat_result, path: bytes, parent: Context
    ) -> list[Place]:
        entry = self._entries.open(fd, info, path, parent)
        context = entry.context
        # Where it lies says what holds in it only if overrides are set there.
        where = path if self._policy.overrides_below(path) else b""
        listing = self._unchanged(fd, info, context, where)
        if listing is None:
            self._entries.clean = True
            changed = self._entries.directory(entry)
            listing = Listing(fd)
            self._files(fd, listing, path, context)
            same = not changed and listing.info.st_ctime_ns == info.st_ctime_ns
            if self._entries.clean and same and listing.is_settled():
                self.tally.learned.append((info.st_ino, listing.digest(context, where)))
        self.tally.looked_at += 1 + len(listing.names)
        return [(join(path, name), info.st_ino, context) for name in listing.directories]

    def _unchanged(
        self, fd: int, info: os.stat_result, context: Context, where: bytes
    ) -> Listing | None:
        """Return the listing of a directory in which nothing changed since all was right."""
        known = self.known.get(info.st_ino)
        if known is None:
            return None
        listing = Listing(fd)
        if listing.odd or listing.digest(context, where) != known:
            return None
        self.tally.unchanged += 1 + len(listing.names)
        self.tally.learned.append((info.st_ino, known))
        return listing

    # --- files ---

    def _files(self, fd: int, listing: Listing, path: bytes, context: Context) -> None:
        for name, reason in listing.odd:
            self._entries.note(join(path, name), f"could not be looked at ({reason})")
        for name, seen, wanted in self._not_right(fd, listing, path, context):
            if seen is not None and wanted is not None and self._write_list(fd, name, seen, wanted):
                continue
            place = join(path, name)
            try:
                self._file(fd, name, place, context)
            except OSError as error:
                self._entries.failed(place, error)

    def _write_list(self, parent: int, name: str, seen: os.stat_result, wanted: Wanted) -> bool:
        """Write a file's access list, if nothing else is to be done; say whether that was so.

        It does what ``_file`` does in the most frequent case, with half the calls.
        """
        try:
            fd = os.open(name, FILE, dir_fd=parent)
        except OSError:
            return False
        try:
            info = os.fstat(fd)
            if (
                info.st_nlink != 1
                or info.st_mode != seen.st_mode
                or info.st_uid != seen.st_uid
                or info.st_gid != seen.st_gid
                or info.st_mode & SPECIAL
                or self.reach.is_other(fd, info)
                or ATTRIBUTE in os.listxattr(fd)
            ):
                return False
            os.setxattr(fd, ACCESS, wanted.access)
        except OSError:
            return False
        finally:
            os.close(fd)
        self.tally.changed += 1
        self._entries.clean = False
        return True

    def _file(self, parent: int, name: str, path: bytes, context: Context) -> None:
        """Secure a file through a descriptor of its own."""
        fd, target = open_file(name, parent)
        try:
            info = os.fstat(fd)
            if self.reach.is_other(fd, info):
                self._entries.note(path, "is a mount point")
            elif stat.S_ISREG(info.st_mode):
                self._entries.file(self._entries.open(target, info, path, context))
        finally:
            os.close(fd)

    def _not_right(
        self, fd: int, listing: Listing, path: bytes, context: Context
    ) -> Iterator[tuple[str, os.stat_result | None, Wanted | None]]:
        """Yield the files that are not right, as far as a look by name tells.

        With a file comes what it looked like, and its access list, where that is all that it
        lacks. A look by name may be led astray, but then only to leave something to the next pass.
        This is where most of the time goes, so it calls little.
        """
        # Each file is asked for overrides of its own only where there are any.
        one_by_one = self._marked or bool(self._policy.overrides_below(path))
        rules = self._policy.rules
        owner, group, spared = rules.owner, rules.group, rules.spared
        at = self._names_in(fd)
        for name, info in zip(listing.names, listing.infos, strict=True):
            mode, uid = info.st_mode, info.st_uid
            if uid in spared or not stat.S_ISREG(mode):
                # Most files of an environment are root's: for those one look is enough.
                self.tally.unchanged += 1
                if one_by_one and stat.S_ISREG(mode):
                    self._entries.spared(join(path, name))
            elif one_by_one or info.st_nlink > 1 or not self._policy.may_own(uid, context):
                yield name, None, None
            else:
                wanted = self._policy.file(context, uid == owner, mode)
                if group is not None and info.st_gid != group:
                    yield name, None, None
                elif mode & 0o7777 != wanted.mode or not _is_set(at + name, wanted):
                    yield name, info, wanted if wanted.names else None
                else:
                    self.tally.unchanged += 1

    def _names_in(self, fd: int) -> str:
        """Return what makes a name in the directory ``fd`` a path."""
        if self._own_directory:
            os.fchdir(fd)
            return ""
        return f"/proc/self/fd/{fd}/"


def _is_set(path: str, wanted: Wanted) -> bool:
    try:
        return is_set(path, wanted)
    except OSError:
        return False  # what is wrong with it shows once it is opened


def join(path: bytes, name: str) -> bytes:
    """Return the path of ``name`` in the directory ``path``."""
    return path + b"/" + os.fsencode(name) if path else os.fsencode(name)
