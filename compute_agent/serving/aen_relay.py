# mypy: ignore-errors
"""Runs an app that only knows a port, and carries from a Unix socket to that port.

``python aen_relay.py SOCKET PORT COMMAND ARGUMENTS`` becomes the command; its child, which ends with
it, carries. Both are the app's user, the one account that the node lets connect to the port.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys

_PR_SET_PDEATHSIG = 1
_AT_ONCE = 65536


def main():
    path, port, *command = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(128)
    app = os.getpid()
    if os.fork() == 0:
        _end_with(app)
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(carry(listener, int(port)))
        os._exit(0)
    listener.close()
    try:
        os.execv(command[0], command)  # noqa: S606
    except OSError as error:
        sys.exit(f"error: {command[0]} could not be started: {error.strerror.lower()}")


def _end_with(app):
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != app:
        os._exit(0)
    # A word to end is for the app, which may want to answer what was asked before.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):  # whoever reads the app's output must see its end
        os.dup2(null, number)


async def carry(listener, port):
    """Join every connection to ``listener`` with one to the port."""

    async def joined(reader, writer):
        with contextlib.suppress(OSError), contextlib.closing(writer):
            app_reader, app_writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(app_writer):
                await asyncio.gather(_pass(reader, app_writer), _pass(app_reader, writer))

    server = await asyncio.start_unix_server(joined, sock=listener)
    await server.serve_forever()


async def _pass(reader, writer):
    while data := await reader.read(_AT_ONCE):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


if __name__ == "__main__":
    main()
