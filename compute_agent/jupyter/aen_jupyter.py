# mypy: ignore-errors
# ruff: noqa: PTH120
"""Our part of the Jupyter servers that apps run: how they start, and the terminal app's page.

It is copied into the environment that Jupyter runs from, where this package is not installed.
``python -m aen_jupyter lab|notebook ARGUMENTS`` starts a server; as a server extension the module
makes opening the terminal app open a terminal.
"""

import os
import sys

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

_NAME = "1"


def main():
    """Start JupyterLab or Notebook.

    Importing JupyterLab asks node, where there is one, for the registry of its packages: a fifth
    of the start, for what only building extensions needs. So it is out of sight until then.
    """
    kind = sys.argv.pop(1)
    path = os.environ.get("PATH", os.defpath)
    os.environ["PATH"] = os.path.dirname(sys.executable)
    from jupyterlab import labapp
    from notebook import app as notebook

    os.environ["PATH"] = path
    (labapp if kind == "lab" else notebook).main()


class TerminalPage(JupyterHandler):
    """Leads to the person's first terminal, made where it does not exist."""

    @web.authenticated
    async def get(self):
        manager = self.settings["terminal_manager"]
        if _NAME not in manager.terminals:
            manager.create(name=_NAME, cwd=self.settings["server_root_dir"])
        self.redirect(url_path_join(self.base_url, "terminals", _NAME))


def _jupyter_server_extension_points():
    return [{"module": "aen_jupyter"}]


def _load_jupyter_server_extension(server):
    pattern = url_path_join(server.base_url, "/aen/terminal")
    server.web_app.add_handlers(".*$", [(pattern, TerminalPage)])
    if server.identity_provider.token:
        # Read by now; kernels and terminals have no use for it.
        os.environ.pop("JUPYTER_TOKEN", None)


if __name__ == "__main__":
    main()
