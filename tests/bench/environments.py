"""Seconds and new disk of a project's environment: cloned by AEN, and made in other ways.

Rounds take turns. The venv holds the packages of AEN's own ``default``, in the versions of its lock;
the conda environment holds the same and Python, from a channel that is made here. pip and rattler
find all packages on the disk. Disk is what each adds: its directories, and the files that it shares
with nobody. Run: ``python tests/bench/environments.py [rounds]``, as root for accounts of their own.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "tests/host")]
from conda_channel import add_ipykernel, add_python, kept  # noqa: E402

from compute_agent.config import Config  # noqa: E402
from compute_agent.environments import TOOLS, Environments  # noqa: E402
from compute_agent.environments.clone import Clone  # noqa: E402
from compute_agent.environments.uv_maker import find_uv  # noqa: E402
from compute_agent.host.directories import opened  # noqa: E402
from tests.places import KEPT  # noqa: E402

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


class Bench:
    """What all the ways need; ``place`` is on the same file system as the templates."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.cache = KEPT
        self.cache.mkdir(parents=True, exist_ok=True)
        self.uv = self.template("node", {})
        self.python = (self.uv / "bin/python").resolve()
        self.channel = kept(self.cache, "bench", self.fill)
        self.conda = self.channel and self.template("node-conda-bench", {
            "channels": [self.channel.url], "default_packages": ["python", "ipykernel"],
        })  # fmt: skip

    def template(self, state: str, options: dict) -> Path:
        interpreter = getattr(sys, "_base_executable", sys.executable)
        if os.geteuid() == 0 and Path(interpreter).resolve().is_relative_to("/root"):
            interpreter = "/usr/bin/python3"
        settings = Config(state_dir=str(self.cache / state), python=interpreter, **options)
        environments = Environments(settings)
        self.tools = environments.ensure(TOOLS) if options else None
        return environments.ensure("default")

    def fill(self, channel) -> bool:
        packages = next(self.uv.glob("lib/python*/site-packages"))
        return add_python(channel) and add_ipykernel(channel, packages, VERSION, whole=True) is None

    def wheels(self) -> Path:
        """Download the wheels of the lock once."""
        folder = self.place / "wheels"
        subprocess.run(
            [sys.executable, "-m", "venv", self.place / "pip"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        lock = CHECKOUT / "compute_agent/locks/default.txt"
        subprocess.run(
            [self.place / "pip/bin/pip", "download", "--quiet", "--no-deps", "--dest", folder,
             "--python-version", VERSION, "--only-binary", ":all:", "-r", lock], check=True,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return folder

    def clone(self, template: Path, target: Path) -> None:
        with opened(target.parent) as parent:
            Clone(os.getuid(), os.getgid()).make(template, parent, target.name, target)

    def pip(self, target: Path) -> None:
        subprocess.run([self.python, "-m", "venv", target], check=True, stdout=subprocess.DEVNULL)
        lock = CHECKOUT / "compute_agent/locks/default.txt"
        subprocess.run(
            [target / "bin/pip", "install", "--quiet", "--no-deps", "--no-index",
             "--find-links", self.place / "wheels", "-r", lock], check=True,
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""},
        )  # fmt: skip

    def uv_install(self, target: Path) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "UV_CACHE_DIR": str(self.cache / "node/cache/uv")}
        subprocess.run(
            [find_uv(), "venv", "--python", self.python, target],
            check=True,
            env=environment,
            **quiet,
        )
        subprocess.run(
            [find_uv(), "pip", "install", "--python", target / "bin/python", "--no-deps", "--offline",
             "-r", CHECKOUT / "compute_agent/locks/default.txt"], check=True, env=environment, **quiet,
        )  # fmt: skip

    def rattler(self, target: Path) -> None:
        order = {"prefix": str(target), "home": str(target), "cache": str(self.place / "packages"),
                 "channels": [self.channel.url], "specs": ["python", "ipykernel"]}  # fmt: skip
        subprocess.run([self.tools / "bin/python", "-I", "-m", "aen_env.build"], check=True, text=True,
                       input=json.dumps(order), stdout=subprocess.DEVNULL)  # fmt: skip

    def conda_clone(self, target: Path) -> None:
        subprocess.run(["conda", "create", "--quiet", "--yes", "--offline", "--prefix", target,
                        "--clone", self.conda], check=True, stdout=subprocess.DEVNULL)  # fmt: skip


def new_disk(path: Path) -> int:
    """Return the bytes on the disk of directories and of files that nobody else has a link to."""
    total = 0
    for folder, _, files in os.walk(path):
        total += Path(folder).lstat().st_blocks
        infos = (Path(folder, file).lstat() for file in files)
        total += sum(info.st_blocks for info in infos if info.st_nlink == 1)
    return total * 512


def main(rounds: int = 5) -> None:
    parent = "/var/tmp"
    with tempfile.TemporaryDirectory(dir=parent, prefix="aent-bench-") as folder:
        bench = Bench(Path(folder))
        bench.wheels()
        ways = {
            "venv: AEN's clone": lambda to: bench.clone(bench.uv, to),
            "venv: uv, warm cache": bench.uv_install,
            "venv: python -m venv and pip, wheels at hand": bench.pip,
        }
        if bench.conda:
            ways |= {
                "conda: AEN's clone": lambda to: bench.clone(bench.conda, to),
                "conda: rattler, warm cache": bench.rattler,
            }
            bench.rattler(Path(folder, "warm"))
        if bench.conda and shutil.which("conda"):
            ways["conda: conda create --clone"] = bench.conda_clone
        seconds, disk = measured(ways, Path(folder), rounds)
    print(f"{rounds} rounds; the venv's template holds {size(bench.uv)}", end="")
    print(
        f", the conda one {size(bench.conda)}" if bench.conda else "; no Python to pack for conda"
    )
    print("\n| | seconds | min | max | new disk, MB |\n|---|---|---|---|---|")
    for way, took in seconds.items():
        print(f"| {way} | {statistics.median(took):.2f} | {min(took):.2f} | {max(took):.2f} "
              f"| {disk[way] / 1e6:,.0f} |")  # fmt: skip


def measured(ways, place, rounds):
    seconds = {way: [] for way in ways}
    disk = {}
    for number in range(rounds):
        for position, (way, make) in enumerate(ways.items()):
            target = place / f"made-{number}-{position}"
            began = time.perf_counter()
            make(target)
            seconds[way].append(time.perf_counter() - began)
            disk[way] = new_disk(target)
            shutil.rmtree(target)
    return seconds, disk


def size(template: Path) -> str:
    infos = [Path(folder, file).lstat()
             for folder, _, files in os.walk(template) for file in files]  # fmt: skip
    return f"{len(infos):,} files, {sum(info.st_blocks for info in infos) * 512 / 1e6:,.0f} MB"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
