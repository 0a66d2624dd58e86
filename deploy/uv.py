"""Getting uv, which makes the environments, where it is not there yet."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.say import Problem, step

#: Older ones cannot build this project's package by themselves.
OLDEST = (0, 9)


def find(*prefixes: Path) -> Path | None:
    """Return a uv that is new enough: in one of ``prefixes``, else on the PATH."""
    on_path = shutil.which("uv")
    candidates = [folder / "bin/uv" for folder in prefixes] + ([Path(on_path)] if on_path else [])
    return next((path for path in candidates if _new_enough(path)), None)


def fetch(lock: Path, tools: Path) -> Path:
    """Download uv as ``lock`` pins it, with its hashes, into ``tools``; return its path.

    Raises ``Problem`` saying what to install or what could not be downloaded.
    """
    step("uv", "downloading it, as it makes the environments (17 MB)")
    pip = _pip()
    shutil.rmtree(tools, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        pin = Path(folder, "uv.txt")
        pin.write_text(pinned(lock.read_text(), "uv"))
        done = _install(pip or _throw_away_pip(Path(folder, "venv")), pin, tools)
    if done.returncode != 0:
        raise Problem(
            "uv could not be downloaded.",
            _reason(done.stderr),
            "Check the network, or install uv 0.9 or newer so that it is on the PATH.",
        )
    return tools / "bin/uv"


def pinned(lock: str, name: str) -> str:
    """Return the entry of package ``name`` in a lock: its version with all its hashes."""
    found = re.search(rf"^{re.escape(name)}==.*?(?=^\S)", lock + "\nend", re.M | re.S)
    if found is None:
        raise Problem(f"The lock does not name {name}.", "", "Run make lock.")
    return found.group()


def _new_enough(path: Path) -> bool:
    try:
        done = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, check=False, timeout=60
        )
    except OSError:
        return False
    found = re.match(r"uv (\d+)\.(\d+)", done.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST


def _install(pip: list[str], pin: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    return subprocess.run(
        [*pip, "install", *options, "--target", str(tools), "-r", str(pin)],
        env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _pip() -> list[str] | None:
    for python in _pythons():
        command = [python, "-m", "pip"]
        if _works([*command, "--version"]):
            return command
    return None


def _throw_away_pip(folder: Path) -> list[str]:
    for python in _pythons():
        if _works([python, "-m", "venv", str(folder)]):
            return [str(folder / "bin/python"), "-m", "pip"]
    raise Problem(
        "uv is needed to make the environments, and there is no way to get it.",
        "It is not on the PATH, and this Python has neither pip nor ensurepip to fetch it.",
        "Debian, Ubuntu: apt install python3-venv. Red Hat: dnf install python3-pip. "
        "Or install uv 0.9 or newer by hand.",
    )


def _pythons() -> Iterator[str]:
    yield sys.executable
    if other := shutil.which("python3", path="/usr/local/bin:/usr/bin"):
        yield other


def _works(command: list[str]) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0


def _reason(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join([row for row in lines if row.startswith("ERROR")][:3] or lines[-3:])
