"""Mount points below a directory, which the permission pass does not enter."""

import os
from pathlib import Path


class MountCheck:
    """Tells a bind mount of the same file system, which has the same device number."""

    def __init__(self, directory: int) -> None:
        self._mount = _mount_id(directory)
        path = os.readlink(f"/proc/self/fd/{directory}")
        self._needed = any(place.startswith(path + "/") for place in _mount_points())

    def is_other(self, fd: int) -> bool:
        return self._needed and _mount_id(fd) != self._mount


def _mount_id(fd: int) -> str:
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        if line.startswith("mnt_id:"):
            return line.split()[1]
    return ""


def _mount_points() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return [line.split(" ")[4] for line in lines]
