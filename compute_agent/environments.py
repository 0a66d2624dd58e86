"""The template environments: built by uv from hashed locks, shared by links, never changed.

``<state_dir>/environments/<name>`` is a link to ``<name>-<key>``, where the key is made of all
that goes into it. A new lock is built beside the old and the link then moved, so that apps which
run from the old one are not disturbed.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compute_agent import jupyter
from compute_agent.config import Config
from compute_agent.host import privileges, process
from compute_agent.host.errors import HostError
from compute_agent.host.reachable import closed_ancestor

NAMES = ("jupyter", "default")
MARKER = "aen-environment.json"
_LOCKS = Path(__file__).parent / "locks"
#: Raise it when the way environments are built changes.
_RECIPE = b"1"
# pip's settings that uv knows under other names, so that one set of them is enough.
_PIP_SETTINGS = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}

Progress = Callable[[str], None]


class Environments:
    """Builds the templates of one node and says where they are."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._state = Path(config.state_dir)
        self._directory = self._state / "environments"
        self._python = Path(config.python or getattr(sys, "_base_executable", sys.executable))
        self._building = threading.Lock()
        self._ready: dict[str, Path] = {}

    def ensure(self, name: str, progress: Progress = lambda line: None) -> Path:
        """Return the directory of the template, built first if it is missing or out of date.

        Raises ``HostError`` when it cannot be built. Safe to call from several threads and
        processes.
        """
        with self._building:
            if name not in self._ready:
                self._check_python()
                with self._locked():
                    self._ready[name] = self._ensure(name, progress)
            return self._ready[name]

    def _ensure(self, name: str, progress: Progress) -> Path:
        link = self._directory / name
        place = self._directory / f"{name}-{self._key(name)}"
        if not (place / MARKER).exists():
            self._build(name, place, progress)
        if not link.is_symlink() or str(link.readlink()) != place.name:
            self._point(link, place)
            self._remove_unused(name)
        return place

    def _lock_of(self, name: str) -> Path:
        if name == "default" and self._config.default_lock:
            return Path(self._config.default_lock)
        return _LOCKS / f"{name}.txt"

    def _key(self, name: str) -> str:
        digest = hashlib.sha256(_RECIPE)
        digest.update(self._lock_of(name).read_bytes())
        digest.update(
            f"{self._python.resolve()} {self._python_stat()} {privileges.mode()}".encode()
        )
        if name == "jupyter":
            digest.update(jupyter.recipe())
        return digest.hexdigest()[:12]

    def _python_stat(self) -> str:
        info = self._python.stat()
        return f"{info.st_size} {info.st_mtime_ns}"

    def _check_python(self) -> None:
        """Raise ``HostError`` where other accounts could not run from an environment of ours."""
        if not self._python.exists():
            raise HostError(
                f"The interpreter {self._python} does not exist.",
                "Set python in the node's configuration to another one.",
            )
        if not privileges.serves_others():
            return
        for place, option in ((self._python.resolve(), "python"), (self._directory, "state_dir")):
            place.parent.mkdir(parents=True, exist_ok=True)
            closed = closed_ancestor(place)
            if closed is not None:
                raise HostError(
                    f"Other accounts cannot reach {place}: {closed} is closed to them.",
                    f"Set {option} in the node's configuration to a place that all can enter.",
                )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep a second agent or ``--prepare`` from building at the same time."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # --- building ---

    def _build(self, name: str, place: Path, progress: Progress) -> None:
        lock = self._lock_of(name)
        progress(f"Building the environment {name}")
        shutil.rmtree(place, ignore_errors=True)  # what a killed build left
        umask = os.umask(0o022)
        try:
            self._uv(progress, "venv", "--relocatable", "--no-project", "--python",
                     str(self._python), str(place))  # fmt: skip
            self._uv(progress, "pip", "install", "--python", str(place / "bin/python"),
                     "--require-hashes", "--no-deps", "--compile-bytecode",
                     "--link-mode", "hardlink", "-r", str(lock))  # fmt: skip
            if name == "jupyter":
                jupyter.finish_template(place)
            if not privileges.serves_others():
                _make_read_only(place)
            (place / MARKER).write_text(json.dumps({"name": name}))
        finally:
            os.umask(umask)
        progress(f"The environment {name} is ready")

    def _uv(self, progress: Progress, *arguments: str) -> None:
        command = [_find_uv(), "--color", "never", *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env=self._uv_environment(), cwd="/", stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.split(" ", 1)[0].strip() in ("Downloading", "Prepared", "Installed"):
                    progress("  " + line.strip())
        if process.returncode != 0:
            raise _build_failure(lines, self._state)

    def _uv_environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
        for pip, uv in _PIP_SETTINGS.items():
            if pip in inherited:
                inherited.setdefault(uv, inherited[pip])
        return inherited | {
            "UV_CACHE_DIR": str(self._state / "cache/uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
        }

    # --- the link ---

    def _point(self, link: Path, place: Path) -> None:
        fresh = link.with_name(f".{link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(place.name)
        fresh.replace(link)

    def _remove_unused(self, name: str) -> None:
        """Remove older builds of a template, as far as no process runs from them."""
        current = (self._directory / name).resolve()
        for old in self._directory.glob(f"{name}-*"):
            if old != current and not _in_use(old):
                shutil.rmtree(old, ignore_errors=True)


def _in_use(place: Path) -> bool:
    """Say whether a process has a library of ``place`` mapped (an app that runs from it)."""
    wanted = os.fsencode(f"{place}/")
    for pid in process.all_pids():
        with suppress(OSError):
            if wanted in process.read_private(pid, "maps"):
                return True
    return False


def _make_read_only(place: Path) -> None:
    """Take away the right to write from what projects will share by links.

    Where everything belongs to one person that is what keeps one project's change out of others.
    """
    for directory, _, files in os.walk(place / "lib"):
        for file in files:
            path = Path(directory, file)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)


def _find_uv() -> str:
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
