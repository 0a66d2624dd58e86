"""The site's directories with their owners and modes, and whether the disk can carry it."""

import contextlib
import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.interpreter import closed_folder
from deploy.options import Options
from deploy.paths import Layout, make_run
from deploy.say import Problem

#: What the environments and a little data take; less is not worth starting with.
_ROOM = 1_500_000_000
_ROOM_LATER = 100_000_000
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int


def make(layout: Layout, owner: Owner) -> None:
    """Make the directories. ``owner`` is the service account, or the person in single mode."""
    here = Owner(os.geteuid(), os.getegid())
    _directory(layout.home, 0o755 if here.uid == 0 else 0o700, here)
    # The server's folder can be entered, not listed, so that NGINX reads static/ in it.
    for path, mode, whose in (
        (layout.etc, 0o755, here),
        (layout.cache, 0o755, here),
        (layout.log, 0o750, here),
        (layout.node, 0o755, here),
        (layout.server, 0o711, owner),
        (layout.gateway, 0o700, owner),
    ):
        _directory(path, mode, whose)
    make_run(layout.run, here.uid)


def _directory(path: Path, mode: int, owner: Owner) -> None:
    path.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, owner.uid, owner.gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def make_project_root(options: Options) -> None:
    """Make the folder of all projects: people may pass through it, only we may list it."""
    root = options.project_root
    try:
        if not root.exists():
            root.mkdir(parents=True)
            root.chmod(0o700 if options.single else 0o711)
    except OSError as error:
        raise Problem(
            f"The folder for projects cannot be made: {root}",
            error.strerror or str(error),
            "Set AEN_PROJECT_ROOT to a folder that you may write to.",
        ) from error
    if not options.single and (closed := closed_folder(root / "any")):
        raise Problem(
            f"The folder for projects is out of reach for the accounts that apps run as: {root}",
            f"They cannot enter {closed}.",
            f"Run chmod o+x {closed}, or set AEN_PROJECT_ROOT to another folder.",
        )


def require_room(layout: Layout) -> None:
    """Raise ``Problem`` when the disk is too full to begin or to go on."""
    needed = _ROOM_LATER if layout.node_config.exists() else _ROOM
    free = shutil.disk_usage(layout.home).free
    if free < needed:
        raise Problem(
            f"There is too little room on the disk that holds {layout.home}.",
            f"{free // 1_000_000} MB are free, and {needed // 1_000_000} MB are needed.",
            "Free some space, or set AEN_HOME to a directory on another disk.",
        )


def require_acls(root: Path) -> None:
    """Raise ``Problem`` naming the mount if the file system of ``root`` keeps no POSIX ACLs."""
    with tempfile.NamedTemporaryFile(dir=root, prefix=".aen-acl-") as file:
        try:
            os.setxattr(file.fileno(), "system.posix_acl_access", _an_acl())
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            mount = mount_of(root)
            raise Problem(
                f"The file system at {mount} keeps no access control lists (ACLs).",
                f"Projects in {root} are shared between people by ACLs.",
                f"Mount it with ACLs (mount -o remount,acl {mount}), or set AEN_PROJECT_ROOT to a "
                "folder on ext4, XFS or Btrfs.",
            ) from error


def _an_acl() -> bytes:
    anyone = 0xFFFFFFFF
    entries = ((_USER_OBJ, 6, anyone), (_USER, 6, 65534), (_GROUP_OBJ, 0, anyone))
    entries += ((_MASK, 6, anyone), (_OTHER, 0, anyone))
    body = b"".join(
        tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, bits, who in entries
    )
    return (2).to_bytes(4, "little") + body


def mount_of(path: Path) -> Path:
    """Return the mount point that ``path`` lies on."""
    found = path.resolve()
    with contextlib.suppress(OSError):
        while not found.is_mount():
            found = found.parent
    return found
