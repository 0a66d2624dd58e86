"""The template environments: built by a maker, shared by links, never changed.

``<state_dir>/environments/<name>`` is a link to ``<name>-<key>``, where the key is made of all
that goes into it. A new one is built beside the old and the link then moved, so that apps which
run from the old one are not disturbed.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from compute_agent import jupyter
from compute_agent.config import Config
from compute_agent.environments import tools
from compute_agent.environments.conda_maker import CondaMaker
from compute_agent.environments.copy_maker import CopyMaker
from compute_agent.environments.marker import MARKER, write_marker
from compute_agent.environments.uv_maker import UvMaker
from compute_agent.host import privileges, process
from compute_agent.host.errors import HostError
from compute_agent.host.reachable import closed_ancestor

NAMES = ("jupyter", "default")
#: What ``aen env`` and conda packages are handled with; no app runs from it.
TOOLS = "tools"
_LOCKS = Path(__file__).parents[1] / "locks"
#: Raise it when the way environments are built changes.
_RECIPE = b"3"

Progress = Callable[[str], None]


class Maker(Protocol):
    """One way to make a template. All that goes into it is in ``ingredients``."""

    def ingredients(self) -> bytes: ...

    def make(self, place: Path, progress: Progress) -> str:
        """Make the environment in ``place`` and return the prefix that its files name, or ``""``.

        Raises ``HostError``.
        """
        ...


class Environments:
    """Builds the templates of one node and says where they are."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._state = Path(config.state_dir)
        self._directory = self._state / "environments"
        self._python = Path(config.python or getattr(sys, "_base_executable", sys.executable))
        self._building = threading.RLock()
        self._ready: dict[str, Path] = {}

    def ensure(self, name: str, progress: Progress = lambda line: None) -> Path:
        """Return the directory of the template, built first if it is missing or out of date.

        Raises ``HostError`` when it cannot be built. Safe to call from several threads and
        processes.
        """
        with self._building:
            if name not in self._ready:
                maker = self._maker(name, progress)
                with self._locked(name):
                    self._ready[name] = self._ensure(name, maker, progress)
            return self._ready[name]

    def tools_bin(self) -> Path | None:
        """Return the directory with the programs that people use, once it is there."""
        place = self._directory / TOOLS
        if not (place / MARKER).exists():
            return None
        return place.with_name(place.readlink().name) / tools.BIN

    def _ensure(self, name: str, maker: Maker, progress: Progress) -> Path:
        link = self._directory / name
        place = self._directory / f"{name}-{_key(maker)}"
        if not (place / MARKER).exists():
            self._build(name, maker, place, progress)
        if not link.is_symlink() or str(link.readlink()) != place.name:
            self._point(link, place)
            self._remove_unused(name)
        return place

    def _build(self, name: str, maker: Maker, place: Path, progress: Progress) -> None:
        progress(f"Building the environment {name}")
        shutil.rmtree(place, ignore_errors=True)  # what a killed build left
        umask = os.umask(0o022)
        try:
            prefix = maker.make(place, progress)
            if not privileges.serves_others():
                _make_read_only(place)
            write_marker(place, name, prefix)
        finally:
            os.umask(umask)
        progress(f"The environment {name} is ready")

    # --- who makes what ---

    def _maker(self, name: str, progress: Progress) -> Maker:
        if name == "jupyter":
            return self._uv(_LOCKS / "jupyter.txt", jupyter.finish_template, jupyter.recipe())
        if name == TOOLS:
            lock = _LOCKS / "tools.txt" if self._config.channels else None
            return self._uv(lock, tools.finish_template, tools.recipe())
        own = self._config.default_environment
        if own:
            return self._own_default(Path(own), progress)
        if self._config.default_lock:
            return self._uv(Path(self._config.default_lock))
        if self._config.channels:
            return self._conda(progress, specs=self._config.default_packages)
        return self._uv(_LOCKS / "default.txt")

    def _own_default(self, own: Path, progress: Progress) -> Maker:
        """Return the maker of what an administrator gave: a directory, or a file of packages."""
        try:
            if own.is_dir():
                return CopyMaker(own)
            text = own.read_text()
        except OSError as error:
            raise HostError(
                f"{own} cannot be read: {error.strerror}.",
                "Set default_environment in the node's configuration to another one.",
            ) from None
        if "--hash=" in text:
            return self._uv(own)
        if "@EXPLICIT" not in text and not self._config.channels:
            raise HostError(
                f"{own} is no lock: its packages have no hashes.",
                "Make one with uv pip compile --generate-hashes; or set channels in the node's "
                "configuration if these are conda packages.",
            )
        return self._conda(progress, file=text)

    def _uv(
        self, lock: Path | None, finish: Callable[[Path], None] | None = None, recipe: bytes = b""
    ) -> Maker:
        self._check_python()
        return UvMaker(self._state, self._python, lock, finish, recipe)

    def _conda(self, progress: Progress, specs: tuple[str, ...] = (), file: str = "") -> Maker:
        python = self.ensure(TOOLS, progress) / "bin/python"
        return CondaMaker(python, self._config.channels, specs, file)

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
    def _locked(self, name: str) -> Iterator[None]:
        """Keep a second agent or ``--prepare`` from building at the same time.

        Whoever can open a file can lock it, and would keep every app from starting: so nobody
        else can open this one, nor uv's own below ``cache``.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        cache = self._state / "cache"
        cache.mkdir(exist_ok=True)
        cache.chmod(0o700)
        path = self._directory / f".{name}.lock"
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as file:
            os.fchmod(file.fileno(), 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    # --- the link ---

    def _point(self, link: Path, place: Path) -> None:
        fresh = link.with_name(f".{link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(place.name)
        fresh.replace(link)

    def _remove_unused(self, name: str) -> None:
        """Remove older builds of a template, as far as no process runs from them."""
        current = (self._directory / name).readlink().name
        for old in self._directory.glob(f"{name}-*"):
            if old.name != current and not _in_use(old):
                shutil.rmtree(old, ignore_errors=True)


def _key(maker: Maker) -> str:
    digest = hashlib.sha256(_RECIPE)
    digest.update(type(maker).__name__.encode())
    digest.update(maker.ingredients())
    digest.update(privileges.mode().encode())
    return digest.hexdigest()[:12]


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
    for directory, _, files in os.walk(place):
        for file in files:
            path = Path(directory, file)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
