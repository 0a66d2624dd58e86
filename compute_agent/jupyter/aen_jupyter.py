# mypy: ignore-errors
"""A Jupyter server extension that runs inside apps: opening the terminal app opens a terminal.

It is copied into the environment that Jupyter runs from, where this package is not installed.
"""

import os

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

_NAME = "1"


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
