"""The project somebody works in, its environments, and the one change to them at a time."""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import kinds, node
from .problem import Problem

ENVIRONMENTS = "envs"
_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_-]{1,64}")
#: What is locked where there is no node to ask; whoever can read it can lock it, too.
_LOCK = ".lock"
_BESIDE = re.compile(r"\.(?P<name>[A-Za-z0-9_-]{1,64})\.[0-9a-f]{8}")


class Project:
    """A project's directory; ``envs`` in it holds an environment in each directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.envs = home / ENVIRONMENTS

    def path(self, name: str) -> Path:
        """Return where the environment ``name`` is or would be. Raises ``Problem``."""
        if not _NAME.fullmatch(name):
            raise Problem(
                f"{name!r} is no name of an environment.",
                "Use up to 64 letters, digits, hyphens and underscores.",
            )
        return self.envs / name

    def existing(self, name: str) -> Path:
        path = self.path(name)
        if kinds.maker_of(path) is None:
            raise Problem(f"There is no environment {name} here.", "aen env list shows all.")
        return path

    def missing(self, name: str) -> Path:
        path = self.path(name)
        if os.path.lexists(path):
            raise Problem(f"{name} is there already.", f"Choose another name, or delete {name}.")
        return path

    def names(self) -> list[str]:
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self.envs.iterdir()
                          if _NAME.fullmatch(path.name) and kinds.maker_of(path))  # fmt: skip
        return []

    @contextlib.contextmanager
    def changing(self, asked: Path | None) -> Iterator[None]:
        """Be the only one that changes environments here; what a killed change left is removed.

        ``asked`` is the node's socket. Raises ``Problem`` where another change is under way, or the
        person may not.
        """
        file = node.turn(asked, self.home) if asked else None
        try:
            self.envs.mkdir(exist_ok=True)
            if file is None:
                file = os.open(self.envs / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o660)
        except OSError as error:
            raise Problem(f"{self.envs} cannot be changed: {error.strerror}.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in self.envs.iterdir():
                if _BESIDE.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
            yield
        except BlockingIOError:
            raise Problem(
                "Somebody is changing an environment of this project.", "Try again after that."
            ) from None
        finally:
            os.close(file)

    @contextlib.contextmanager
    def beside(self, name: str) -> Iterator[Path]:
        """Give a place beside the environment ``name``; at the end nothing is there."""
        place = self.envs / f".{name}.{secrets.token_hex(4)}"
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def find(given: str | None) -> Project:
    """Return the project in ``given``, else the one that the app or the directory belongs to."""
    start = given or os.environ.get("AEN_PROJECT_DIR")
    if start:
        return Project(Path(start).absolute())
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / ENVIRONMENTS).is_dir():
            return Project(place)
    raise Problem(
        "This is not the directory of a project.", "Go into one, or name it with --project."
    )
