"""What an environment is: who made it, and which languages it has a kernel for."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .conda_meta import META

_VENV_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", re.MULTILINE)
_RECORD = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.json")


class Kind(NamedTuple):
    """``maker`` is ``uv`` (any venv) or ``conda``; a version is empty where the language is not
    in it, or not known."""

    maker: str
    python: str = ""
    r: str = ""
    r_kernel: bool = False


def venv(pyvenv_cfg: str) -> Kind:
    """Return the kind that the text of ``pyvenv.cfg`` tells of."""
    match = _VENV_VERSION.search(pyvenv_cfg)
    return Kind("uv", match[1] if match else "")


def conda(records: Iterable[str]) -> Kind:
    """Return the kind that the names of the files in ``conda-meta`` tell of."""
    versions = {match["name"]: match["version"] for name in records
                if (match := _RECORD.fullmatch(name))}  # fmt: skip
    short = {name: ".".join(versions.get(name, "").split(".")[:2]) for name in ("python", "r-base")}
    return Kind("conda", short["python"], short["r-base"], "r-irkernel" in versions)


def maker_of(prefix: Path) -> str | None:
    """Return who makes an environment, ``None`` where it is none."""
    if (prefix / META).is_dir():
        return "conda"
    return "uv" if (prefix / "pyvenv.cfg").is_file() else None


def of(prefix: Path) -> Kind | None:
    """Return what the environment in ``prefix`` is, ``None`` where it is none."""
    look: dict[str | None, Callable[[], Kind | None]] = {
        "conda": lambda: conda(path.name for path in (prefix / META).iterdir()),
        "uv": lambda: venv((prefix / "pyvenv.cfg").read_text(errors="replace")),
        None: lambda: None,
    }
    return look[maker_of(prefix)]()
