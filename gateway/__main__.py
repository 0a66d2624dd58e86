"""``python -m gateway``: the gateway under uvicorn, with the options it needs.

``AEN_BIND`` and ``AEN_GATEWAY_PORT`` say where it listens, ``AEN_GATEWAY_CONFIG`` names its
``gateway.json``.
"""

import contextlib
import logging
import os
import sys

import uvicorn

from .config import ConfigError, load, read_secret
from .express import Connection
from .haproxy.listening import Server
from .limits.host import raise_open_files
from .sockets import SocketProtocol


def main() -> int:
    """Run until told to stop; returns the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config = load()
        read_secret(config.secret_key_file)
        read_secret(config.credential_file)
    except ConfigError as error:
        print(f"The gateway does not start. {error}", file=sys.stderr)  # noqa: T201
        return 78  # EX_CONFIG
    raise_open_files()
    settings = uvicorn.Config(
        "gateway.asgi:application",
        host=os.environ.get("AEN_BIND", "127.0.0.1"),
        port=int(os.environ.get("AEN_GATEWAY_PORT", "8089")),
        loop="uvloop",
        http=Connection,
        ws=SocketProtocol,
        ws_max_size=config.limits.message_bytes or sys.maxsize,
        ws_per_message_deflate=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=3,
        backlog=2048,
    )
    server = (
        uvicorn.Server(settings)
        if config.haproxy is None
        else (Server(settings, config.haproxy.listen))
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
