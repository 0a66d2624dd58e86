"""What is in a directory, and whether that is what an earlier pass found to be right."""

import hashlib
import os
import struct
import time

from compute_agent.host.permissions.policy import Context

#: Times of change go in ticks of the kernel's clock, of 10 ms at most: what changed this shortly
#: ago may change once more without a sign.
TICK_NS = 20_000_000


class Listing:
    """The entries of an open directory, apart from its directories with what ``lstat`` says.

    ``odd`` are (name, reason) of entries that could not be looked at.
    """

    def __init__(self, fd: int) -> None:
        self.at = time.time_ns()
        self.info = os.fstat(fd)
        self.directories: list[str] = []
        self.names: list[str] = []
        self.infos: list[os.stat_result] = []
        self.odd: list[tuple[str, str]] = []
        with os.scandir(fd) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        self.directories.append(entry.name)
                    else:
                        info = entry.stat(follow_symlinks=False)
                        self.infos.append(info)
                        self.names.append(entry.name)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    self.odd.append((entry.name, os.strerror(error.errno or 0).lower()))

    def digest(self, context: Context, where: bytes) -> bytes:
        """Return 16 bytes that differ once the directory or a file in it has changed.

        A change of rights, owner or links of an inode moves its time of change, which nobody can
        set. Directories in it have a digest of their own. ``where`` is a path, if that matters.
        """
        times = [info.st_ctime_ns for info in self.infos]
        inodes = [info.st_ino for info in self.infos]
        own = (context, where, self.info.st_dev, self.info.st_ino, self.info.st_ctime_ns)
        found = hashlib.blake2b(repr(own).encode(), digest_size=16)
        found.update(struct.pack(f"={len(times)}q{len(inodes)}Q", *times, *inodes))
        found.update("/".join(self.names).encode("utf-8", "surrogateescape"))
        return found.digest()

    def is_settled(self) -> bool:
        """Say whether any further change would show in the digest."""
        newest = max((info.st_ctime_ns for info in self.infos), default=0)
        return max(newest, self.info.st_ctime_ns) < self.at - TICK_NS
