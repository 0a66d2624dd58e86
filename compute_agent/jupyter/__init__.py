"""What the node adds to Jupyter: its part of the template environment, and kernels for an app."""

import json
import py_compile
import shutil
from pathlib import Path
from typing import Any

from compute_agent.environments.activation import activated
from compute_agent.environments.listing import Kernel

_HERE = Path(__file__).parent
_EXTENSION = _HERE / "aen_jupyter.py"
_SETTINGS = _HERE / "jupyter_server_config.py"
_PAGE_CONFIG = {
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension:plugin": True,
    }
}
_PYTHON = ("{environment}/bin/python", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f",
           "{connection_file}")  # fmt: skip
_R = ("{environment}/bin/R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")


def recipe() -> bytes:
    """Return all that ``finish_template`` puts in, to tell when a template is out of date."""
    pages = json.dumps(_PAGE_CONFIG).encode()
    return pages + _SETTINGS.read_bytes() + _EXTENSION.read_bytes()


def finish_template(place: Path) -> None:
    """Add our server extension and settings to a fresh environment with Jupyter in it."""
    packages = next(place.glob("lib/python*/site-packages"))
    target = packages / _EXTENSION.name
    shutil.copyfile(_EXTENSION, target)
    py_compile.compile(str(target), doraise=True)
    shutil.copyfile(_SETTINGS, place / "etc/jupyter" / _SETTINGS.name)
    _write(place / "etc/jupyter/labconfig/page_config.json", _PAGE_CONFIG)
    # Its own interpreter is not for notebooks: those run in the project's environments.
    shutil.rmtree(place / "share/jupyter/kernels", ignore_errors=True)


def kernel(kernel: Kernel, environment: str, variables: dict[str, str]) -> dict[str, Any]:
    """Return the description of a kernel that lies in the directory ``environment``."""
    command = _R if kernel.language == "R" else _PYTHON
    argv = [part.replace("{environment}", environment) for part in command]
    described = {"python": "Python"}.get(kernel.language, kernel.language)
    shown = f"{described} {kernel.version}".strip()
    return {
        "argv": activated(argv) if kernel.conda else argv,
        "display_name": f"{kernel.environment} ({shown})",
        "language": kernel.language,
        "metadata": {"debugger": kernel.language == "python"},
        "env": variables,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
