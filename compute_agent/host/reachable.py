"""Whether other accounts can get at a file: its interpreter is of no use to them otherwise."""

import os
import stat
from pathlib import Path


def closed_ancestor(path: Path) -> Path | None:
    """Return the first directory on the way to ``path`` that keeps others out, or ``None``.

    Every link on the way is followed, and the way to its target is checked too.
    """
    for place in way(path):
        if not place.stat().st_mode & stat.S_IXOTH:
            return place
    return None


def way(path: Path) -> list[Path]:
    """Return all directories that opening ``path`` goes through, outermost first."""
    found: list[Path] = []
    current = Path("/")
    rest = list(path.absolute().parts[1:])
    links = 0
    while rest:
        found.append(current)
        part = rest.pop(0)
        step = current / part
        if part == "..":
            current = current.parent
        elif step.is_symlink() and links < 40:
            links += 1
            target = Path(os.readlink(step))
            if target.is_absolute():
                current = Path("/")
            rest = [*(p for p in target.parts if p != "/"), *rest]
        else:
            current = step
    return found
