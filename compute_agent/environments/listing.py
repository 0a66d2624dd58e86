"""The environments of a project, looked at through descriptors: their directories are users'."""

import contextlib
import os
import re
from typing import NamedTuple

from compute_agent.envtool import kinds
from compute_agent.envtool.conda_meta import META
from compute_agent.envtool.kinds import Kind
from compute_agent.host import directories
from compute_agent.host.errors import HostError

ENVIRONMENTS = "envs"
_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9_-]{1,64}")
_MOST_KERNELS = 50
_R_KERNEL = "-r"


class Kernel(NamedTuple):
    """A language of the environment ``environment``; ``name`` is what Jupyter calls it."""

    name: str
    environment: str
    language: str
    version: str
    conda: bool


def is_name(name: str) -> bool:
    """Say whether an environment can have this name."""
    return _NAME.fullmatch(name) is not None


def kind(project: int, name: str) -> Kind | None:
    """Return what the environment ``name`` is, ``None`` when there is no such one.

    Raises ``HostError`` for something else in its place.
    """
    try:
        with (
            directories.opened(ENVIRONMENTS, project) as envs,
            directories.opened(name, envs) as environment,
        ):
            return _kind(environment)
    except FileNotFoundError:
        return None
    except OSError:
        raise not_an_environment(name) from None


def _kind(environment: int) -> Kind:
    with contextlib.suppress(FileNotFoundError), directories.opened(META, environment) as meta:
        return kinds.conda(os.listdir(meta))  # noqa: PTH208
    text = directories.read_small("pyvenv.cfg", environment)
    return kinds.venv(text.decode(errors="replace"))


def kernels(project: int) -> list[Kernel]:
    """Return the kernels of the project's environments. Whatever else lies there is left out."""
    found: dict[str, Kernel] = {}
    for name in _names(project):
        with contextlib.suppress(HostError):
            known = kind(project, name)
            for kernel in _kernels(name, known) if known is not None else []:
                # A kernel's name has no capitals, so only one of "a" and "A" can be one.
                found.setdefault(kernel.name, kernel)
        if len(found) >= _MOST_KERNELS:
            break
    return list(found.values())


def _kernels(name: str, known: Kind) -> list[Kernel]:
    conda = known.maker == "conda"
    found = []
    if known.python or not conda:
        found.append(Kernel(name.lower(), name, "python", known.python, conda))
    if known.r_kernel:
        own = name.lower() + (_R_KERNEL if found else "")
        found.append(Kernel(own, name, "R", known.r, conda))
    return found


def fact(name: str, known: Kind | None, how: str) -> str:
    """Return the environment in words, for the log of a launch."""
    if known is None:
        return f"{name}, {how}"
    languages = [f"{language} {version}" for language, version in
                 (("Python", known.python), ("R", known.r)) if version]  # fmt: skip
    return ", ".join([name, *languages, *(["conda"] if known.maker == "conda" else []), how])


def not_an_environment(name: str) -> HostError:
    return HostError(
        f"{ENVIRONMENTS}/{name} in the project is not an environment.",
        f"Rename {ENVIRONMENTS}/{name} and start again: a new one is then made.",
    )


def _names(project: int) -> list[str]:
    """Return what may be environments by their names, those without capitals first."""
    with contextlib.suppress(OSError), directories.opened(ENVIRONMENTS, project) as envs:
        names = [name for name in os.listdir(envs) if _NAME.fullmatch(name)]  # noqa: PTH208
        return sorted(names, key=lambda name: (name != name.lower(), name))
    return []
