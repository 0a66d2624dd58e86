# mypy: ignore-errors
"""Runs a Python web app on a Unix socket in place of the port it would open.

``python aen_serve.py uvicorn|tornado SOCKET PREFIX MODULE ARGUMENTS`` runs ``python -m MODULE
ARGUMENTS`` with the environment's own uvicorn or tornado, and changes only where that listens.
PREFIX is the path that an ASGI app is told it lies below; empty for apps that have an option for it.
"""

import os
import runpy
import sys


def main():
    kind, path, prefix, module, *arguments = sys.argv[1:]
    # As "python -m" has it: people's modules lie where the app runs, and nothing of ours does.
    sys.path[0] = os.getcwd()  # noqa: PTH109 - text, as all entries are
    _PREPARE[kind](path, prefix)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def on_uvicorn(path, prefix):
    """Have every uvicorn server of this process listen on the socket."""
    import uvicorn

    startup = uvicorn.Server.startup

    async def on_socket(self, sockets=None):
        for sock in sockets or ():  # bound to a port, but nobody listens there yet
            sock.close()
        self.config.host = self.config.fd = None
        self.config.uds = path
        if prefix:
            self.config.loaded_app = _Below(self.config.loaded_app, prefix)
        await startup(self)

    uvicorn.Server.startup = on_socket


class _Below:
    """An ASGI app that knows the prefix it lies below. The paths it gets are whole already."""

    def __init__(self, app, prefix):
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope, receive, send):
        if scope["type"] in ("http", "websocket"):
            scope["root_path"] = self._prefix
        await self._app(scope, receive, send)


def on_tornado(path, prefix):
    """Have every tornado server of this process listen on the socket."""
    from tornado import netutil, tcpserver

    def on_socket(*_, **__):
        return [netutil.bind_unix_socket(path, mode=0o600)]

    netutil.bind_sockets = tcpserver.bind_sockets = on_socket


_PREPARE = {"uvicorn": on_uvicorn, "tornado": on_tornado}

if __name__ == "__main__":
    main()
