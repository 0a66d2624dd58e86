"""code-server from npm, fetched and built once into the tests' cache.

Its own installation script would fetch from elsewhere, too. What it would build and nothing here
needs is left out: Kerberos for proxies, and the search through files.
"""

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

from tests.places import KEPT

VERSION = "4.100.3"
PLACE = KEPT / f"code-server-{VERSION}"
SECONDS = 300
_PACKAGE = Path("node_modules/code-server")
_CODE = _PACKAGE / "lib/vscode"
#: Parts in C++, by folder; the first is built by a tool of its own.
_HASHES = Path("node_modules/argon2")
_BUILT = [
    _CODE / "node_modules" / name for name in ("node-pty", "@vscode/spdlog", "native-watchdog")
]
#: Written last.
_DONE = "installed"


class Absent(Exception):
    """code-server cannot be had here; the text says why."""


@functools.cache
def program() -> Path:
    """Return a program that is called as ``code-server`` is. Raises ``Absent``."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with KEPT.joinpath("code-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (PLACE / _DONE).exists():
            _install()
    return PLACE / "code-server"


def _install() -> None:
    node, npm = (shutil.which(name) for name in ("node", "npm"))
    if node is None or npm is None:
        raise Absent("npm, which brings code-server, is not on this machine")
    if not Path(node).resolve().parents[1].joinpath("include/node/node.h").exists():
        raise Absent(
            "the headers of Node, which parts of code-server need, are not on this machine"
        )
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    fetch = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev"]
    _run([*fetch, "--prefix", str(PLACE), f"code-server@{VERSION}"], PLACE)
    _run(fetch, PLACE / _CODE)
    _build(Path(node).resolve().parents[1])
    start = PLACE / "code-server"
    start.write_text(f'#!/bin/sh\nexec {node} {PLACE / _PACKAGE}/out/node/entry.js "$@"\n')
    start.chmod(0o755)
    (PLACE / _DONE).touch()


def _build(headers: Path) -> None:
    modules = Path(_run(["npm", "root", "--global"], PLACE).strip())
    gyp = str(modules / "npm/node_modules/node-gyp/bin/node-gyp.js")
    for folder in _BUILT:
        _run(["node", gyp, "rebuild", f"--nodedir={headers}", "--jobs=2"], PLACE / folder)
    command = ["node", "../.bin/node-pre-gyp", "rebuild", "--build-from-source"]
    _run([*command, f"--nodedir={headers}"], PLACE / _HASHES, npm_config_node_gyp=gyp)


def _run(command: list[str], directory: Path, **more: str) -> str:
    try:
        return subprocess.run(
            command, cwd=directory, env=os.environ | more, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=SECONDS, check=True,
        ).stdout  # fmt: skip
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise Absent(
            f"code-server cannot be installed here: {said[-1] if said else error}"
        ) from None
