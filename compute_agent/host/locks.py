"""Who holds the lock of a file, as the kernel lists all locks."""

import os
from pathlib import Path

_ALL = Path("/proc/locks")
#: In place of an account, of a process that ended and left the open file to others.
NOBODY = -1


def holder(file: int) -> int | None:
    """Return the account that locked the open ``file`` by ``flock``, ``None`` if none did."""
    info = os.fstat(file)
    place = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    for line in _ALL.read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5] == place:
            try:
                return Path("/proc", fields[4]).stat().st_uid
            except FileNotFoundError:
                return NOBODY
    return None
