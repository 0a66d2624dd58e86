"""A copy of an environment, made by the node where it can, else by ourselves.

Most files belong to the node, and nobody may make a link to a file that is not theirs. So the node
is asked to: it links what is there, in the project of the app that asks, and nothing else. Where
there is no node to ask, links are made of our own files and the others are copied.
"""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from . import node
from .conda_meta import META, baked_files
from .prefix import Baked, rewritten

Progress = Callable[[str], None]


def copy(source: Path, place: Path, asked: Path | None, progress: Progress) -> None:
    """Copy the environment ``source`` to ``place`` beside it. ``asked`` is the node's socket.

    Raises ``OSError``.
    """
    if asked is None or not node.copy(asked, source, place):
        shutil.rmtree(place, ignore_errors=True)
        progress("Copying the environment (the node that could link it does not answer)")
        shutil.copytree(source, place, symlinks=True, copy_function=_link_or_copy)
    _own(place)


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK):
            raise
        shutil.copy2(source, target)
    return target


def _own(place: Path) -> None:
    """Have own copies of what installers write into: the links lead to the old environment."""
    for path in (place / "pyvenv.cfg", place / ".lock", *(place / META).glob("*")):
        if path.is_file() and not path.is_symlink():
            replace(path, path.read_bytes())


def rename_scripts(place: Path, old: Path, new: Path) -> None:
    """Have the scripts of the environment in ``place`` name ``new`` where they named ``old``."""
    scripts = {f"bin/{path.name}": Baked("text") for path in (place / "bin").glob("*")
               if _starts(path) == b"#!" or path.name.startswith("activate")}  # fmt: skip
    _rename(place, scripts | {"pyvenv.cfg": Baked("text")}, old, new)


def rename_prefix(place: Path, old: Path, new: Path) -> None:
    """Do the same with all its files.

    Raises ``TooLong`` where a program has no room for that.
    """
    rename_scripts(place, old, new)
    if (place / META).is_dir():
        _rename(place, baked_files(place), old, new)


def _rename(place: Path, files: Mapping[str, Baked], old: Path, new: Path) -> None:
    for name, how in files.items():
        path = place / name
        if how.mode != "copy" and path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            fresh = rewritten(data, how, str(old), str(new))
            if fresh != data:
                replace(path, fresh)


def replace(path: Path, data: bytes) -> None:
    """Write a file anew in place of ``path``, which others may share."""
    info = path.stat()
    fresh = path.with_name(f"{path.name}.aen-new")
    fresh.write_bytes(data)
    fresh.chmod(info.st_mode & 0o777 | 0o200)
    os.utime(fresh, ns=(info.st_atime_ns, info.st_mtime_ns))
    fresh.replace(path)


def _starts(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(2)
