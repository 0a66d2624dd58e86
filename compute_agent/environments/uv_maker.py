"""Environments made by uv from a lock with hashes, with the node's own interpreter."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from compute_agent.host.errors import HostError

# pip's settings that uv knows under other names, so that one set of them is enough.
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}


class UvMaker:
    """Makes what ``lock`` names, or an empty environment; ``finish`` then adds to it."""

    def __init__(
        self,
        state: Path,
        python: Path,
        lock: Path | None,
        finish: Callable[[Path], None] | None,
        recipe: bytes,
    ) -> None:
        self._state = state
        self._python = python
        self._lock = lock
        self._finish = finish
        self._recipe = recipe

    def ingredients(self) -> bytes:
        info = self._python.stat()
        python = f"{self._python.resolve()} {info.st_size} {info.st_mtime_ns}"
        lock = self._lock.read_bytes() if self._lock else b""
        return b"\0".join([lock, python.encode(), self._recipe])

    def make(self, place: Path, progress: Callable[[str], None]) -> str:
        self._uv(progress, "venv", "--relocatable", "--no-project", "--python",
                 str(self._python), str(place))  # fmt: skip
        if self._lock:
            self._uv(progress, "pip", "install", "--python", str(place / "bin/python"),
                     "--require-hashes", "--no-deps", "--compile-bytecode",
                     "--link-mode", "hardlink", "-r", str(self._lock))  # fmt: skip
        if self._finish:
            self._finish(place)
        return ""

    def _uv(self, progress: Callable[[str], None], *arguments: str) -> None:
        command = [find_uv(), "--color", "never", *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=self._environment(), cwd="/", stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.split(" ", 1)[0].strip() in ("Downloading", "Prepared", "Installed"):
                    progress("  " + line.strip())
        if process.returncode != 0:
            raise _build_failure(lines, self._state)

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
        for pip, uv in _PIP_SETTINGS.items():
            if pip in inherited:
                inherited.setdefault(uv, inherited[pip])
        return inherited | {
            "UV_CACHE_DIR": str(self._state / "cache/uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
        }


def find_uv() -> str:
    """Return the path of uv. Raises ``HostError`` where there is none."""
    try:
        import uv

        return os.fsdecode(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise HostError("The node has no uv to build environments with.", "Install AEN again.")
    return found


def _build_failure(lines: list[str], state: Path) -> HostError:
    text = " ".join(line for line in lines if line)
    if "No space left" in text:
        return HostError(f"The disk that holds {state} is full.", "Free space and try again.")
    errors = [line for line in lines if line.startswith(("error", "×", "╰", "Caused by"))]
    said = " ".join(errors or lines[-3:])[:400]
    return HostError(
        f"An environment could not be built: {said}",
        "Check that this machine reaches its package index, and try again.",
    )
