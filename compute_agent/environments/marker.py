"""What a template says of itself, written when it is whole."""

import json
from pathlib import Path
from typing import NamedTuple

from compute_agent.envtool import conda_meta
from compute_agent.envtool.prefix import Baked

MARKER = "aen-environment.json"


class Marker(NamedTuple):
    """``prefix`` is the directory that files of the template name, empty where none does;
    ``private`` are the files that every clone has a copy of, by their path."""

    name: str
    prefix: str
    private: dict[str, Baked]


def write_marker(place: Path, name: str, prefix: str) -> None:
    """Declare the template in ``place`` whole."""
    private = _conda(place) if (place / conda_meta.META).is_dir() else _venv(place)
    content = {"name": name, "prefix": prefix, "private": private}
    (place / MARKER).write_text(json.dumps(content))


def read_marker(place: Path) -> Marker:
    """Return what ``write_marker`` wrote. Raises ``OSError``."""
    content = json.loads((place / MARKER).read_bytes())
    private = {path: Baked(*baked) for path, baked in content["private"].items()}
    return Marker(content["name"], content["prefix"], private)


def _conda(place: Path) -> dict[str, Baked]:
    baked = conda_meta.baked_files(place)
    # What pip added to it is in no record.
    return _scripts(place) | {path: how for path, how in baked.items() if _is_file(place / path)}


def _venv(place: Path) -> dict[str, Baked]:
    scripts = {f"bin/{path.name}": Baked("text") for path in (place / "bin").iterdir()
               if _is_file(path)}  # fmt: skip
    # uv opens its lock for writing.
    return scripts | {"pyvenv.cfg": Baked("text"), ".lock": Baked("copy")}


def _scripts(place: Path) -> dict[str, Baked]:
    found = {}
    for path in (place / "bin").glob("*"):
        if _is_file(path):
            with path.open("rb") as file:
                if file.read(2) == b"#!":
                    found[f"bin/{path.name}"] = Baked("text")
    return found


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
