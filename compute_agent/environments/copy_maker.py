"""The template as a copy of a directory that an administrator keeps."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from compute_agent.envtool import kinds
from compute_agent.host import privileges
from compute_agent.host.errors import HostError


class CopyMaker:
    """Copies ``directory``, a venv or an environment of conda packages.

    It is copied anew when packages were added, replaced or removed there. A change of a file in
    it by hand is not noticed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ingredients(self) -> bytes:
        digest = hashlib.sha256(os.fsencode(self._directory))
        records = [*self._directory.glob("conda-meta/*.json"), *self._directory.glob("pyvenv.cfg"),
                   *self._directory.glob("lib/python*/site-packages/*.dist-info")]  # fmt: skip
        for path in sorted(records):
            digest.update(f"{path} {path.stat().st_mtime_ns}\n".encode())
        return digest.digest()

    def make(self, place: Path, progress: Callable[[str], None]) -> str:
        source = self._directory.resolve()
        if kinds.maker_of(source) is None:
            raise HostError(
                f"{self._directory} is not an environment: it has neither conda-meta nor "
                "pyvenv.cfg.",
                "Set default_environment in the node's configuration to another one.",
            )
        progress(f"  Copying {source}")
        try:
            shutil.copytree(source, place, symlinks=True)
            for folder, _, files in os.walk(place):
                _open_to_all(Path(folder), *(Path(folder, file) for file in files))
        except (OSError, shutil.Error) as error:
            raise HostError(f"{source} could not be copied: {error}"[:400]) from error
        return str(source)


def _open_to_all(*paths: Path) -> None:
    """Make them the node's own, for all to read and nobody else to write."""
    for path in paths:
        if privileges.serves_others():
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o111
            path.chmod(0o755 if executable else 0o644)
