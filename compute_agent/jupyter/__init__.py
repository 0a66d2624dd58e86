"""What the node adds to Jupyter: its part of the template environment, and kernels for an app."""

import json
import py_compile
import re
import shutil
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_EXTENSION = _HERE / "aen_jupyter.py"
_SETTINGS = _HERE / "jupyter_server_config.py"
_PAGE_CONFIG = {
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension:plugin": True,
    }
}
_PYTHON_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", re.MULTILINE)


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


def kernel(name: str, environment: str, version: str, variables: dict[str, str]) -> dict[str, Any]:
    """Return the kernel description of the environment ``name`` in directory ``environment``."""
    return {
        "argv": [
            f"{environment}/bin/python",
            "-Xfrozen_modules=off",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ],
        "display_name": f"{name} (Python {version})" if version else name,
        "language": "python",
        "metadata": {"debugger": True},
        "env": variables,
    }


def python_version(pyvenv_cfg: str) -> str:
    """Return ``3.11`` from the text of an environment's ``pyvenv.cfg``, or an empty string."""
    match = _PYTHON_VERSION.search(pyvenv_cfg)
    return match[1] if match else ""


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
