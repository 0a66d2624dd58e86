"""The pass that gives a project's files to its team, and to nobody else.

It runs as root on trees that their users change at the same time, so it names nothing twice: an
entry is opened without following a link, looked at through the descriptor, and changed through
the same descriptor. What is right already is not written.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator

from compute_agent.host import acl
from compute_agent.host.acl import Acl
from compute_agent.host.errors import HostError, mount_of
from compute_agent.host.mounts import MountCheck
from compute_agent.host.permissions.outcome import Cancelled, Outcome
from compute_agent.host.permissions.rules import Rules
from compute_agent.host.rights import NO_ACLS, Wanted, set_access, set_default

PUBLIC = "public"
_DEEPEST = 300
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HANDLE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Walk:
    def __init__(self, directory: int, rules: Rules, cancelled: threading.Event) -> None:
        self._root = directory
        self._rules = rules
        self.cancelled = cancelled
        self._outcome = Outcome()
        self._device = os.fstat(directory).st_dev
        self._group_rights = 7 if rules.group is not None else 0
        self._everyone = acl.named([*rules.members, *_owner_entry(rules)])
        self._mounts = MountCheck(directory)
        # Files of members with several links: the team's only if all the links are in here.
        self._linked: dict[tuple[int, int], list[int]] = {}

    def run(self) -> Outcome:
        try:
            self._apply(self._root, os.fstat(self._root), self._directory(self._root, False))
            self._walk()
            self._settle_linked()
        except OSError as error:
            if error.errno in NO_ACLS:
                raise _no_acls(self._root) from None
            raise
        finally:
            for fd, *_ in self._linked.values():
                os.close(fd)
        return self._outcome

    # --- going through the tree ---

    def _walk(self) -> None:
        """Visit every entry, depth first, keeping one descriptor open for each level."""
        levels: list[tuple[int, Iterator[os.DirEntry[str]], bool]] = []
        levels.append((os.dup(self._root), _entries(self._root), False))
        try:
            while levels:
                parent, entries, public = levels[-1]
                entry = next(entries, None)
                if entry is None:
                    os.close(levels.pop()[0])
                    continue
                if self.cancelled.is_set():
                    raise Cancelled
                is_public = public or (len(levels) == 1 and entry.name == PUBLIC)
                below = self._visit(parent, entry, is_public, len(levels))
                if below is not None:
                    levels.append((below, _entries(below), is_public))
        finally:
            for fd, *_ in levels:
                os.close(fd)

    def _visit(self, parent: int, entry: os.DirEntry[str], public: bool, depth: int) -> int | None:
        """Secure one entry. Return a descriptor if it is a directory to go into."""
        try:
            if entry.is_dir(follow_symlinks=False):
                return self._visit_directory(parent, entry.name, public, depth)
            if entry.is_file(follow_symlinks=False):
                # Most files of an environment are root's: for those one look is enough.
                if entry.stat(follow_symlinks=False).st_uid in self._rules.spared:
                    self._outcome.unchanged += 1
                else:
                    self._visit_file(parent, entry.name, public)
        except (FileNotFoundError, NotADirectoryError):
            pass  # removed or replaced while we looked: the next pass meets what is there then
        except OSError as error:
            if error.errno != errno.ELOOP:  # became a link
                raise
        return None

    def _visit_directory(self, parent: int, name: str, public: bool, depth: int) -> int | None:
        fd = _open_directory(parent, name)
        keep = False
        try:
            info = os.fstat(fd)
            if info.st_dev != self._device or self._mounts.is_other(fd):
                self._outcome.note(f"{_printable(name)} is a mount point")
            elif depth >= _DEEPEST:
                self._outcome.note(f"{_printable(name)} lies more than {_DEEPEST} folders deep")
            else:
                self._apply(fd, info, self._directory(fd, public))
                keep = True
        finally:
            if not keep:
                os.close(fd)
        return fd if keep else None

    def _visit_file(self, parent: int, name: str, public: bool) -> None:
        fd = os.open(name, _HANDLE, dir_fd=parent)
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode) or info.st_dev != self._device:
                return
            if info.st_nlink > 1 and not self._may_share(info):
                fd = self._remember(fd, info, public, name)
                return
            self._apply(fd, info, self._file(info, public))
        finally:
            if fd >= 0:
                os.close(fd)

    # --- hard links ---

    def _may_share(self, info: os.stat_result) -> bool:
        """Say whether a file with other links may be changed at once.

        The owner's own may, wherever else they are; but a read-only one is part of a template
        environment on nodes where everything belongs to one person.
        """
        return info.st_uid == self._rules.owner and bool(info.st_mode & stat.S_IWUSR)

    def _remember(self, fd: int, info: os.stat_result, public: bool, name: str) -> int:
        """Keep the file until all its links were seen. Return the descriptor still to close."""
        if info.st_uid == self._rules.owner or info.st_uid in self._rules.spared:
            self._outcome.unchanged += 1
            return fd
        known = self._linked.get((info.st_dev, info.st_ino))
        if known is not None:
            known[1] += 1
            known[2] &= public
            return fd
        if len(self._linked) >= 500:
            self._outcome.note(f"{_printable(name)} has links elsewhere")
            return fd
        self._linked[info.st_dev, info.st_ino] = [fd, 1, public]
        return -1

    def _settle_linked(self) -> None:
        for fd, seen, public in self._linked.values():
            info = os.fstat(fd)
            if info.st_nlink <= seen:
                self._apply(fd, info, self._file(info, bool(public)))
            else:
                self._outcome.note("a hard link to a file outside the project")

    # --- one entry ---

    def _directory(self, fd: int, public: bool) -> Wanted:
        other = 5 if public else 1
        users = self._users(os.fstat(fd).st_uid, 7)
        setgid = stat.S_ISGID if self._rules.group is not None else 0
        return Wanted(
            Acl(7, self._group_rights, other, users),
            Acl(7, self._group_rights, other, self._everyone),
            setgid,
        )

    def _file(self, info: os.stat_result, public: bool) -> Wanted:
        execute = 1 if info.st_mode & stat.S_IXUSR else 0
        rights = 6 | execute
        other = (4 if public else 0) | execute
        users = self._users(info.st_uid, rights)
        return Wanted(Acl(rights, self._group_rights & rights, other, users), None, 0)

    def _users(self, file_owner: int, rights: int) -> acl.Named:
        """Return the named entries of something that belongs to ``file_owner``."""
        users = self._rules.members if file_owner == self._rules.owner else self._everyone
        return tuple((uid, granted & rights) for uid, granted in users)

    def _apply(self, fd: int, info: os.stat_result, wanted: Wanted) -> None:
        if info.st_uid in self._rules.spared:
            self._outcome.unchanged += 1
            return
        path = f"/proc/self/fd/{fd}"
        changed = self._set_group(path, info)
        changed |= set_access(path, info, wanted, force=changed)
        if wanted.default is not None:
            changed |= set_default(path, wanted.default)
        if changed:
            self._outcome.changed += 1
        else:
            self._outcome.unchanged += 1

    def _set_group(self, path: str, info: os.stat_result) -> bool:
        group = self._rules.group
        if group is None or info.st_gid == group:
            return False
        os.chown(path, -1, group)
        return True


def _owner_entry(rules: Rules) -> list[tuple[int, int]]:
    # Only members make files that are not the owner's; without them nobody need be named.
    return [(rules.owner, 7)] if rules.members else []


def _entries(fd: int) -> Iterator[os.DirEntry[str]]:
    with os.scandir(fd) as entries:
        return iter(list(entries))


def _open_directory(parent: int, name: str) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        # Ours, but closed to ourselves: open it up through a handle first.
        handle = os.open(name, _HANDLE | os.O_DIRECTORY, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{handle}", 0o700)
            return os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(handle)


def _no_acls(directory: int) -> HostError:
    mount = mount_of(os.readlink(f"/proc/self/fd/{directory}"))
    return HostError(
        f"The file system at {mount} keeps no access lists, which a team's project needs.",
        f"An administrator can switch them on: mount -o remount,acl {mount}",
    )


def _printable(name: str) -> str:
    return ascii(name)[1:-1]
