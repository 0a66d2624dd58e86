"""Directories of projects: made from the skeleton, opened without following links, removed.

``<root>/<owner>`` belongs to the node, so that nobody can put a link where a project is about to
be. Whatever is made is built beside its place, where only the node can enter, and then renamed:
a start that is killed half-way leaves nothing that the next one would take for whole.
"""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from compute_agent.host import privileges
from compute_agent.host.accounts import Account
from compute_agent.host.errors import HostError
from compute_agent.host.removal import remove_tree

#: For a directory, and no link to one.
OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
#: Ends the names of what is to be deleted; names of projects have no dot.
_GONE = ".gone"
_SET_ASIDE = re.compile(r"\.[a-z][a-z0-9-]{1,31}\.[0-9a-f]{8}\.gone")


@contextlib.contextmanager
def opened(path: str | Path, parent: int | None = None) -> Iterator[int]:
    """Open a directory that is not a link, for as long as the block lasts."""
    fd = os.open(path, OPEN, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def names(parent: int, *parts: str) -> list[str]:
    """Return what lies in a directory below ``parent``, nothing if it is not there or a link."""
    with contextlib.ExitStack() as stack:
        try:
            for part in parts:
                parent = stack.enter_context(opened(part, parent))
            return os.listdir(parent)
        except OSError:
            return []


@contextlib.contextmanager
def owner_directory(root: Path, owner: str) -> Iterator[int]:
    """Open ``<root>/<owner>``, made if it is missing: anyone may pass through, nobody may list."""
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    with opened(root) as root_fd:
        with contextlib.suppress(FileExistsError):
            os.mkdir(owner, 0o711, dir_fd=root_fd)
            os.chmod(owner, 0o711, dir_fd=root_fd)  # noqa: S103 - pass through, not list
        with _opened_as_ours(root / owner, root_fd) as fd:
            yield fd


@contextlib.contextmanager
def _opened_as_ours(path: Path, parent: int) -> Iterator[int]:
    try:
        fd = os.open(path.name, OPEN, dir_fd=parent)
    except FileNotFoundError:
        raise
    except OSError:
        raise HostError(
            f"{path} is not a directory.", "Move it away; the node makes the directory itself."
        ) from None
    try:
        if os.fstat(fd).st_uid not in (0, os.geteuid()):
            raise HostError(
                f"{path} does not belong to the node, so links could be put into it.",
                f"An administrator can mend that: chown root: {path}",
            )
        yield fd
    finally:
        os.close(fd)


def ensure_project(root: Path, owner: str, name: str, account: Account, skeleton: Path) -> str:
    """Make the project's directory from the skeleton if it is missing, and say which it was.

    Raises ``HostError`` when something else is in its place or it is another account's.
    """
    with owner_directory(root, owner) as parent:
        _remove_leftovers(parent, name)
        try:
            info = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            _create(parent, name, account, skeleton)
            return "created from the skeleton"
    path = root / owner / name
    if not stat.S_ISDIR(info.st_mode):
        raise HostError(f"{path} is not a directory.", "Move it away and start again.")
    if info.st_uid != account.uid:
        raise HostError(
            f"{path} belongs to the account with uid {info.st_uid}, not to {account.name}.",
            f"If the files are {account.name}'s, an administrator can mend that: "
            f"chown {account.name}: {path}",
        )
    return "present"


@contextlib.contextmanager
def project_directory(root: Path, owner: str, name: str) -> Iterator[int]:
    """Open an existing project's directory; ``FileNotFoundError`` when there is none."""
    with opened(root) as root_fd, opened(owner, root_fd) as parent, opened(name, parent) as fd:
        yield fd


@contextlib.contextmanager
def stage(root: Path, owner: str, name: str) -> Iterator[int]:
    """Open a new directory beside the project.

    Only the node can enter it. It is removed at the end, with all that was not renamed away.
    """
    with owner_directory(root, owner) as parent:
        temporary = f".{name}.{secrets.token_hex(4)}"
        os.mkdir(temporary, 0o700, dir_fd=parent)
        try:
            with opened(temporary, parent) as fd:
                yield fd
        finally:
            _discard(temporary, parent)


def set_aside(root: Path, owner: str, name: str) -> None:
    """Take the project's directory out of its place at once, whatever its size.

    What is in it is deleted by ``delete_set_aside``, also if that is another agent's.
    """
    try:
        with opened(root) as root_fd, _opened_as_ours(root / owner, root_fd) as parent:
            gone = f".{name}.{secrets.token_hex(4)}{_GONE}"
            os.rename(name, gone, src_dir_fd=parent, dst_dir_fd=parent)
    except FileNotFoundError:
        return


def delete_set_aside(root: Path, owner: str) -> None:
    """Delete all that was set aside of an owner's projects. Raises ``OSError``."""
    try:
        with opened(root) as root_fd, _opened_as_ours(root / owner, root_fd) as parent:
            failed = None
            for entry in os.listdir(parent):
                if _SET_ASIDE.fullmatch(entry):
                    try:
                        remove_tree(entry, parent)
                    except OSError as error:  # the others are deleted all the same
                        failed = error
    except FileNotFoundError:
        return
    if failed is not None:
        raise failed


def _remove_leftovers(parent: int, name: str) -> None:
    """Remove what a killed start of this project left; names of projects have no dot."""
    for entry in os.listdir(parent):
        if entry.startswith(f".{name}.") and not entry.endswith(_GONE):
            _discard(entry, parent)


def _discard(name: str, parent: int) -> None:
    with contextlib.suppress(OSError):  # what is left of it, the next start meets again
        remove_tree(name, parent)


def _create(parent: int, name: str, account: Account, skeleton: Path) -> None:
    temporary = f".{name}.{secrets.token_hex(4)}"
    os.mkdir(temporary, 0o700, dir_fd=parent)
    group = account.gid if account.group is None else account.group
    try:
        with opened(temporary, parent) as fd:
            _copy(skeleton, fd, account.uid, group)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        _discard(temporary, parent)
        raise


def _copy(source: Path, target: int, uid: int, gid: int) -> None:
    """Copy files and folders of ``source`` into the open ``target`` and give all to ``uid``."""
    for entry in sorted(source.iterdir()):
        if entry.is_symlink() or entry.name in ("__pycache__", ".gitkeep"):
            continue
        if entry.is_dir():
            os.mkdir(entry.name, 0o700, dir_fd=target)
            with opened(entry.name, target) as below:
                _copy(entry, below, uid, gid)
        else:
            _copy_file(entry, target, uid, gid)
    _give(target, uid, gid)


def _copy_file(source: Path, target: int, uid: int, gid: int) -> None:
    fd = os.open(source.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=target)
    with os.fdopen(fd, "wb") as file:
        file.write(source.read_bytes())
        file.flush()
        _give(file.fileno(), uid, gid)


def _give(fd: int, uid: int, gid: int) -> None:
    if privileges.serves_others():
        os.fchown(fd, uid, gid)


def read_small(name: str, parent: int, limit: int = 65536) -> bytes:
    """Return the start of a regular file that a user may have put there, without following links.

    Raises ``OSError``; a FIFO or device does not make the node wait.
    """
    fd = os.open(name, _READ, dir_fd=parent)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{name} is not a regular file")
        return file.read(limit)


def make_owned(name: str, parent: int, uid: int, gid: int) -> None:
    """Make a directory for ``uid`` in one that only the node can enter."""
    os.mkdir(name, 0o700, dir_fd=parent)
    with opened(name, parent) as fd:
        _give(fd, uid, gid)
