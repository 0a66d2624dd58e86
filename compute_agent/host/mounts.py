"""Mount points below a directory, which the permission pass does not enter."""

import os
import re

_ESCAPED = re.compile(rb"\\([0-7]{3})")


class MountCheck:
    """Tells a bind mount of the same file system, which has the same device number."""

    def __init__(self, directory: int) -> None:
        self._mount = mount_id(directory)
        path = os.readlink(f"/proc/self/fd/{directory}".encode())
        mounts = _mounts()
        #: Paths of mount points below, relative to the directory.
        self._below = {
            place[len(path) + 1 :] for _, place, _ in mounts if place.startswith(path + b"/")
        }
        #: The type of the file system, for instance ``ext4``; empty if it isn't known.
        self.kind = next((kind for number, _, kind in mounts if number == self._mount), "")

    def is_other(self, fd: int) -> bool:
        return bool(self._below) and mount_id(fd) != self._mount

    def has(self, path: bytes) -> bool:
        """Say whether ``path``, relative to the directory, was a mount point at the beginning."""
        return path in self._below


def file_system(mount: str) -> str:
    """Return the type of what is mounted as ``mount``, an id, or nothing if that is gone."""
    return next((kind for number, _, kind in _mounts() if number == mount), "")


def mount_id(fd: int) -> str:
    """Return the id of the mount that the descriptor lies in."""
    with open(f"/proc/self/fdinfo/{fd}") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return line.split()[1]
    return ""


def _mounts() -> list[tuple[str, bytes, str]]:
    """Return the id, the place and the type of every mount."""
    with open("/proc/self/mountinfo", "rb") as file:
        found = []
        for fields in map(bytes.split, file):
            kind = fields[fields.index(b"-") + 1]
            found.append((fields[0].decode(), _unescaped(fields[4]), kind.decode()))
        return found


def _unescaped(place: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), place)
