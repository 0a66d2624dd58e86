"""The installed copy: an environment from the lock, and in it this checkout as a package.

Nothing is done when neither the interpreter, the lock nor a file of the packages changed.
"""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.interpreter import Python
from deploy.say import Problem, step

#: Where systems keep the certificates they trust; uv's own list knows no company's proxy.
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_STAMP = "aen-installed.json"
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class State:
    """What an environment was made from; two equal states need no work."""

    python: str
    lock: str
    source: str = ""


@dataclass(frozen=True)
class Installer:
    """Makes the environment at ``venv`` with ``uv``, keeping downloads in ``cache``."""

    uv: Path
    venv: Path
    cache: Path | None
    checkout: Path

    def make_environment(self, python: Python) -> None:
        step("Environment", f"new in {self.venv}, with {python}")
        command = ["venv", "--quiet", "--clear", "--no-project", "--python", str(python.path)]
        self._run([*command, str(self.venv)], "The environment could not be made.")

    def install_lock(self, lock: Path) -> None:
        count = len(re.findall(r"^[a-zA-Z0-9][^ ]*==", lock.read_text(), re.M))
        step("Packages", f"{count} pinned in {lock.name}, each checked against its hash")
        before, started = self._cached(), time.monotonic()
        command = ["pip", "sync", "--require-hashes", "--compile-bytecode", *self._python()]
        self._run([*command, str(lock)], "The packages could not be installed.")
        step("", self._summary(self._cached() - before, time.monotonic() - started))

    def install_source(self) -> None:
        step("AEN", f"copying it from {self.checkout}")
        # Not editable: the service's account need not, and must not, read the checkout.
        command = ["pip", "install", "--no-deps", "--reinstall-package", "aen", "--refresh-package"]
        rest = ["aen", "--compile-bytecode", *self._python(), str(self.checkout)]
        self._run([*command, *rest], "AEN could not be built from this checkout.")

    def _python(self) -> list[str]:
        return ["--python", str(self.venv / "bin/python")]

    def _run(self, arguments: list[str], failed: str) -> None:
        process = subprocess.Popen(
            [str(self.uv), *arguments, "--color", "never"],
            cwd=self.checkout,
            env=uv_environment(os.environ, self.cache),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        said = []
        for text in process.stderr or ():
            said.append(text.rstrip())
            if text.lstrip().startswith("Downloading "):
                step("", text.strip().replace("Downloading", "downloading"))
        if process.wait() != 0:
            raise Problem(
                failed, "\n".join(said[-8:]), _mend(said, self.cache or self.venv, self.venv)
            )

    def _cached(self) -> int:
        return sum(_sizes(self.cache)) if self.cache else 0

    def _summary(self, downloaded: int, seconds: float) -> str:
        took = f"installed in {seconds:.0f} s"
        if not self.cache:
            return took
        if downloaded < _MEGABYTE:
            return f"{took}, all from the cache in {self.cache}"
        return f"{took}; downloaded and unpacked {downloaded / _MEGABYTE:.0f} MB"


def uv_environment(env: Mapping[str, str], cache: Path | None) -> dict[str, str]:
    """Return what uv is started with: ours without any of the site's own variables."""
    kept = {name: value for name, value in env.items() if not name.startswith("AEN_")}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"):
        kept.pop(name, None)
    kept["UV_PYTHON_DOWNLOADS"] = "never"
    if cache is not None:
        kept.setdefault("UV_CACHE_DIR", str(cache))
    if any(Path(path).is_file() for path in _CERTIFICATES):
        kept.setdefault("UV_SYSTEM_CERTS", "true")
        kept.setdefault("UV_NATIVE_TLS", "true")  # the same for uv before 0.10
    if index := env.get("PIP_INDEX_URL"):
        kept.setdefault("UV_DEFAULT_INDEX", index)
    return kept


def installed(venv: Path) -> State | None:
    """Return what the environment was made from, or ``None`` if it is not there or unfinished."""
    if not (venv / "bin/python").exists():
        return None
    try:
        return State(**json.loads((venv / _STAMP).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def unfinished(venv: Path) -> None:
    """Note that work begins: an environment without its stamp is made again."""
    (venv / _STAMP).unlink(missing_ok=True)


def finished(venv: Path, state: State) -> None:
    (venv / _STAMP).write_text(json.dumps(asdict(state)))


def digest_of(*files: Path) -> str:
    """Return a digest of the files' contents."""
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def digest_of_source(checkout: Path) -> str:
    """Return a digest of everything that goes into the package: names and contents."""
    total = hashlib.sha256()
    for file in source_files(checkout):
        total.update(str(file.relative_to(checkout)).encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def source_files(checkout: Path) -> Iterator[Path]:
    """Yield the files that are built into the package, in a fixed order."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        if (checkout / name).is_file():
            yield checkout / name
    for package in sorted(project["tool"]["uv"]["build-backend"]["module-name"]):
        for file in sorted((checkout / package).rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def open_to_all(folder: Path) -> None:
    """Let every account read ``folder`` and none but its owner write, whatever the umask was."""
    for path, found in _entries(folder):
        mode = stat.S_IMODE(found.st_mode)
        runs = stat.S_ISDIR(found.st_mode) or mode & stat.S_IXUSR
        # uv leaves a lock file that anyone may write to.
        if (wanted := (mode | (0o555 if runs else 0o444)) & ~0o022) != mode:
            path.chmod(wanted)


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for root, folders, files in os.walk(folder):
        for name in (".", *files):
            path = Path(root, name)
            found = path.lstat()
            if not stat.S_ISLNK(found.st_mode):
                yield path, found
        folders[:] = [name for name in folders if not Path(root, name).is_symlink()]


def _sizes(folder: Path) -> Iterator[int]:
    return (found.st_size for _, found in _entries(folder))


def _fullest(*places: Path) -> Path:
    """Return the one on the disk with the least room: what is copied from may lie elsewhere."""
    return min(places, key=lambda place: shutil.disk_usage(_existing(place)).free)


def _mend(said: list[str], near: Path, into: Path) -> str:
    text = "\n".join(said).lower()
    if "no space left" in text:
        return (
            f"The disk that holds {_fullest(near, into)} is full; free some space and run it again."
        )
    if any(word in text for word in ("fetch", "connect", "dns", "timed out", "network")):
        return (
            "What is named above could not be downloaded. Check the network; behind a proxy set "
            "HTTPS_PROXY, with a mirror of your own set UV_DEFAULT_INDEX."
        )
    free = shutil.disk_usage(_existing(near)).free
    if free < 200 * _MEGABYTE:
        return f"Only {free // _MEGABYTE} MB are free where {near} lies."
    return "Mend what is named above and run it again; it goes on where it ended."


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())
