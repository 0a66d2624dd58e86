"""Which Python the installed copy runs on.

Apps run on it as their users' own accounts, so as root it has to be one that other accounts can
start. A Python under ``/root`` (pyenv, conda) is not; then another one is looked for.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.say import Problem

OLDEST = (3, 11)
NOBODY = 65534
_NAMES = ("python3", "python3.13", "python3.12", "python3.11", "python3.14")
_FOLDERS = ("/usr/bin", "/usr/local/bin", "/opt/python/bin")
#: What is asked of an interpreter, run in it: the modules that Debian splits off or that a build
#: without headers lacks. Prints the version and the real executable.
_QUESTION = """
import ctypes, os, sqlite3, ssl, sys
print("%d.%d.%d" % sys.version_info[:3])
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
"""


@dataclass(frozen=True)
class Python:
    path: Path
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.path} ({'.'.join(map(str, self.version))})"


def choose(given: str | None, uid: int) -> tuple[Python, str]:
    """Return the interpreter for the installed copy, and why it is not the running one (or "").

    ``given`` is AEN_PYTHON. Raises ``Problem`` where there is none.
    """
    if given:
        return _the_given(given, uid), ""
    running = ask(Path(sys.executable), uid)
    if isinstance(running, Python):
        return running, ""
    for path in _others():
        found = ask(path, uid)
        if isinstance(found, Python):
            return found, f"{_real()}: {running}"
    raise Problem(
        "No Python was found that the site could run on.",
        f"{_real()}: {running}",
        "Install one that every account can start (Debian, Ubuntu: apt install python3; "
        "Red Hat: dnf install python3.11), or name one with AEN_PYTHON=/path/to/python3.",
    )


def _the_given(given: str, uid: int) -> Python:
    found = ask(Path(given), uid)
    if isinstance(found, str):
        raise Problem(
            f"AEN_PYTHON={given} cannot be used.",
            found,
            "Name another interpreter, or leave AEN_PYTHON unset to have one chosen.",
        )
    return found


def ask(path: Path, uid: int) -> Python | str:
    """Return the interpreter at ``path``, or the reason why it does not do, as a sentence.

    As root it is started as ``nobody``, which is the only sure test that others can start it.
    """
    try:
        answer = _run(path, as_uid=None)
    except OSError as error:
        return f"it cannot be started ({error.strerror})."
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines() or ["it ends at once"]
        return f"it lacks something that AEN needs ({last[-1]})."
    version_text, executable = answer.stdout.split("\n")[:2]
    version = tuple(int(part) for part in version_text.split("."))
    if version < OLDEST:
        return f"it is Python {version_text}, and AEN needs {_oldest()} or newer."
    if uid == 0 and (reason := _unreachable(Path(executable))):
        return reason
    return Python(Path(executable), version)


def _unreachable(executable: Path) -> str:
    try:
        if _run(executable, as_uid=NOBODY).returncode == 0:
            return ""
    except OSError:
        pass
    blocked = closed_folder(executable)
    return f"other accounts cannot enter {blocked}." if blocked else "other accounts cannot run it."


def closed_folder(path: Path) -> Path | None:
    """Return the topmost directory above ``path`` that other accounts cannot enter, if any."""
    for folder in reversed(path.parents):
        try:
            if not folder.stat().st_mode & stat.S_IXOTH:
                return folder
        except OSError:
            return folder
    return None


def _run(path: Path, as_uid: int | None) -> subprocess.CompletedProcess[str]:
    account = {} if as_uid is None else {"user": as_uid, "group": as_uid, "extra_groups": []}
    return subprocess.run(
        [str(path), "-I", "-c", _QUESTION],
        cwd="/",
        env={"PATH": os.environ.get("PATH", os.defpath)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **account,
    )


def _others() -> Iterator[Path]:
    on_path = [folder for folder in os.get_exec_path() if folder.startswith("/")]
    for folder in dict.fromkeys([*_FOLDERS, *on_path]):
        for name in _NAMES:
            path = Path(folder, name)
            if os.access(path, os.X_OK):
                yield path


def _real() -> Path:
    return Path(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))


def _oldest() -> str:
    return ".".join(map(str, OLDEST))
