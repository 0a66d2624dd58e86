"""The environment that holds ``aen env``: our program, and rattler where there are channels."""

import compileall
import os
import shutil
from pathlib import Path

from compute_agent.environments.uv_maker import find_uv

_PROGRAM = Path(__file__).parents[1] / "envtool"
#: The directory in it that is on the PATH of apps.
BIN = "aen-bin"
#: In the node's ``state_dir``: what the program must know of this node, for all to read.
PEOPLE = "people.json"
#: In the node's ``run_dir``: where the program asks for a copy.
SOCKET = "env.sock"
_SCRIPT = """#!/bin/sh
here=$0
[ -L "$here" ] && here=$(readlink -f -- "$here")
exec "${here%/*/*}/bin/python" -I -m aen_env "$@"
"""


def recipe() -> bytes:
    """Return all that ``finish_template`` puts in, to tell when it is out of date."""
    sources = b"".join(path.read_bytes() for path in sorted(_PROGRAM.glob("*.py")))
    uv = Path(find_uv())
    info = uv.stat()
    return sources + f"{_SCRIPT} {uv} {info.st_size} {info.st_mtime_ns}".encode()


def finish_template(place: Path) -> None:
    """Add our program and uv."""
    packages = next(place.glob("lib/python*/site-packages"))
    shutil.copytree(
        _PROGRAM, packages / "aen_env", ignore=shutil.ignore_patterns("__pycache__"),
        copy_function=shutil.copyfile,
    )  # fmt: skip
    compileall.compile_dir(packages / "aen_env", quiet=1)
    folder = place / BIN
    folder.mkdir()
    (folder / "aen").write_text(_SCRIPT)
    (folder / "aen").chmod(0o755)
    _link_or_copy(Path(find_uv()).resolve(), folder / "uv")


def _link_or_copy(source: Path, target: Path) -> None:
    """Have a program where everybody can run it, whatever is closed on the way to ``source``."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        target.chmod(0o755)
