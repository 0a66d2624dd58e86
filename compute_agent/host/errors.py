"""What went wrong on the machine, in words for the person who waits for an app."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


class HostError(Exception):
    """A step that failed: ``cause`` says why, ``mend`` what would help; both are sentences."""

    def __init__(self, cause: str, mend: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.mend = mend


def mount_of(path: str | os.PathLike[str]) -> str:
    """Return the mount point of the file system that holds ``path``."""
    place = Path(path).absolute()
    while not place.is_mount():
        place = place.parent
    return str(place)


def explain(error: OSError, doing: str, path: str | os.PathLike[str]) -> HostError:
    """Return the error as cause and mend; ``doing`` completes "The node could not …"."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            f"The disk that holds {mount_of(path)} is full.",
            "Remove files that are no longer needed, or ask an administrator for more space.",
        )
    if error.errno == errno.EROFS:
        return HostError(
            f"{mount_of(path)} is mounted read-only.",
            f"An administrator can mount it for writing: mount -o remount,rw {mount_of(path)}",
        )
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    where = f" ({os.fsdecode(error.filename)})" if error.filename else ""
    return HostError(f"The node could not {doing}: {reason}{where}.")


@contextlib.contextmanager
def explained(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what goes wrong in the block as ``explain`` puts it."""
    try:
        yield
    except OSError as error:
        raise explain(error, doing, path) from error
