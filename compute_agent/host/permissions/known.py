"""What a node keeps for its passes: what they found to be right, and its key for marks.

The file says of which rules, machine and directory it holds, then (inode, digest) of directories.
It counts only whole, so that a damaged or a foreign one costs a full pass and nothing else.
"""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from compute_agent.host.permissions.policy import Policy
from compute_agent.host.permissions.reach import Reach
from compute_agent.host.permissions.records import Records, pack, unpack

#: File systems on this machine whose inodes tell each change by its time.
_TELLING = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "overlay", "zfs", "bcachefs"}
_MAGIC = b"AENpass1"
_LARGEST = 512 * 2**20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_telling(reach: Reach) -> bool:
    """Say whether times of change can be relied upon where the project is."""
    return reach.mounts.kind in _TELLING


def key(policy: Policy, reach: Reach) -> bytes:
    """Return 32 bytes that differ wherever the file must not count."""
    try:
        machine = Path("/etc/machine-id").read_bytes()
    except OSError:
        machine = b""
    place = repr((machine, reach.device, reach.inode)).encode()
    return hashlib.blake2b(policy.digest + place, digest_size=32).digest()


def load(path: Path, key: bytes) -> Records:
    """Return what was remembered; nothing if the file is missing, damaged or not for ``key``."""
    try:
        content = _read(path)
    except OSError:
        return {}
    body, checksum = content[:-32], content[-32:]
    if body[:40] != _MAGIC + key or hashlib.blake2b(body, digest_size=32).digest() != checksum:
        return {}
    return unpack(body[40:])


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, _READ), "rb") as file:
        info = os.fstat(file.fileno())
        if info.st_uid != os.geteuid() or info.st_mode & 0o022 or info.st_size > _LARGEST:
            return b""
        return file.read()


def save(path: Path, key: bytes, records: Records) -> None:
    """Remember ``records``. A disk that takes no more costs the next pass time, nothing else."""
    body = _MAGIC + key + pack(records)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(body + hashlib.blake2b(body, digest_size=32).digest())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()


def node_key(path: Path) -> bytes:
    """Return the key with which this node signs marks, made if it is missing. Raises ``OSError``."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(secrets.token_bytes(32))
    # Whole, and not in the place of one that another pass has just made.
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
    return path.read_bytes()
