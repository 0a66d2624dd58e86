"""Making and changing environments: always beside, then swapped in as a whole.

Whoever cancels, or is killed, half-way finds the old environment as it was.
"""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from . import copying, kinds, swap, work
from .problem import Problem
from .project import Project

Progress = Callable[[str], None]
_PIP_LINE = re.compile(r"^#\s*pip\s+(\S+)$", re.MULTILINE)


class Wish(NamedTuple):
    """What a new environment is to be: ``specs`` of packages, or a ``file`` (a text) of them;
    without a ``maker`` the node's usual one; with a ``kernel`` for notebooks."""

    specs: Sequence[str] = ()
    file: str = ""
    maker: str = ""
    python: str = ""
    kernel: bool = True


class Changes:
    """Changes to the environments of one project, as the person who asks for them."""

    def __init__(
        self, project: Project, channels: Sequence[str], asked: Path | None, progress: Progress
    ) -> None:
        self._project = project
        self._channels = list(channels)
        self._asked = asked
        self._progress = progress

    def create(self, name: str, wish: Wish) -> None:
        """Make the environment ``name``."""
        explicit = "@EXPLICIT" in wish.file
        maker = wish.maker
        if not maker:
            maker = "conda" if explicit or (self._channels and not _pinned(wish.file)) else "uv"
        if maker == "conda" and not self._channels and not explicit:
            raise Problem("This node has no conda channels.", "Use --maker uv.")
        with self._project.changing(self._asked), self._project.beside(name) as place:
            path = self._project.missing(name)
            make = self._create_conda if maker == "conda" else self._create_uv
            make(place, path, wish)
            copying.rename_scripts(place, place, path)
            self._done(lambda: swap.move_in(place, path))

    def install(self, name: str, specs: Sequence[str], *, pip: bool = False) -> None:
        def change(place: Path, path: Path, maker: str) -> None:
            if maker == "conda" and not pip:
                self._conda(place, path, specs=list(specs))
            else:
                self._pip(place, *specs)

        self._change(name, change)

    def remove(self, name: str, packages: Sequence[str], *, pip: bool = False) -> None:
        def change(place: Path, path: Path, maker: str) -> None:
            if maker == "conda" and not pip:
                self._conda(place, path, remove=list(packages))
            else:
                work.uv(self._progress, "pip", "uninstall", "--python", _python(place), "--",
                        *packages)  # fmt: skip

        self._change(name, change)

    def clone(self, source: str, name: str) -> None:
        with self._project.changing(self._asked), self._project.beside(name) as place:
            old, path = self._project.existing(source), self._project.missing(name)
            copying.copy(old, place, self._asked, self._progress)
            copying.rename_prefix(place, old, path)
            self._done(lambda: swap.move_in(place, path))

    def delete(self, name: str) -> None:
        with self._project.changing(self._asked), self._project.beside(name) as place:
            path = self._project.existing(name)
            self._done(lambda: swap.move_in(path, place))

    # --- parts ---

    def _change(self, name: str, change: Callable[[Path, Path, str], None]) -> None:
        with self._project.changing(self._asked), self._project.beside(name) as place:
            path = self._project.existing(name)
            copying.copy(path, place, self._asked, self._progress)
            change(place, path, kinds.maker_of(path) or "")
            copying.rename_scripts(place, place, path)
            self._done(lambda: swap.exchange(place, path))

    def _done(self, put_in_place: Callable[[], None]) -> None:
        # From here on a cancel would come too late, and must not say that nothing was changed.
        work.end_cancelling()
        put_in_place()
        self._progress("Done")

    def _create_uv(self, place: Path, path: Path, wish: Wish) -> None:
        own = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        work.uv(self._progress, "venv", "--relocatable", "--no-project", "--python",
                wish.python or own, f"--prompt={path.name}", place)  # fmt: skip
        kernel = ["ipykernel"] if wish.kernel and not wish.file else []
        self._pip(place, *wish.specs, *kernel, file=wish.file)

    def _create_conda(self, place: Path, path: Path, wish: Wish) -> None:
        specs = [*([f"python {wish.python}.*"] if wish.python else []), *wish.specs]
        other = any(spec.startswith("r-irkernel") for spec in specs)
        if wish.kernel and not wish.file and not other:
            specs += [*([] if wish.python else ["python"]), "ipykernel"]
        self._conda(place, path, specs=specs, file=wish.file)
        pip = _PIP_LINE.findall(wish.file)
        if pip:
            self._pip(place, *pip)

    def _conda(self, place: Path, path: Path, **what: object) -> None:
        work.conda(
            self._progress, prefix=str(place), home=str(path), channels=self._channels, **what
        )

    def _pip(self, place: Path, *specs: str, file: str = "") -> None:
        listed = place / ".aen-wanted.txt"
        given: list[str | Path] = ["-r", listed] if file else []
        if file:
            listed.write_text(file)
        if given or specs:
            work.uv(
                self._progress, "pip", "install", "--python", _python(place), *given, "--", *specs
            )
        listed.unlink(missing_ok=True)


def _python(place: Path) -> Path:
    python = place / "bin/python"
    if not python.exists():
        raise Problem("This environment has no Python.", "Install it first.")
    return python


def _pinned(file: str) -> bool:
    """Say whether a file of packages is pip's: ``name==version``."""
    return bool(re.search(r"^\s*[\w.\[\]-]+\s*==", file, re.MULTILINE))
