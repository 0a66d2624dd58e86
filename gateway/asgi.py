"""The gateway as an ASGI application: Channels' router over the consumers, and its lifespan."""

import gc
import logging
import os
from collections.abc import Awaitable, Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup()

from channels.routing import ProtocolTypeRouter  # noqa: E402 - needs the settings
from django.conf import settings  # noqa: E402

from .consumers import AppHttpConsumer, AppWebSocketConsumer, OwnConsumer  # noqa: E402
from .core import Gateway  # noqa: E402

App = Callable[..., Awaitable[None]]

# Net allocations after which the collector looks at what is new. At Python's 700 it goes through all
# requests under way again and again; they leave no cycles behind.
_YOUNG = 20_000

# One of each serves all requests: these consumers keep nothing on themselves.
_app = AppHttpConsumer()
_own = OwnConsumer()


def http(scope: Any, receive: Any, send: Any) -> Awaitable[None]:
    """Send what is under ``/-/`` to the gateway itself, all else to an app."""
    return (_own if scope["raw_path"].startswith(b"/-/") else _app)(scope, receive, send)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Make the gateway at the start and end it at the end; requests find it in their state."""
    await receive()
    gateway = Gateway(settings.CONFIG)
    await gateway.start()
    settle()
    scope["state"]["gateway"] = gateway
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gateway.stop()
    await send({"type": "lifespan.shutdown.complete"})


def settle() -> None:
    """Leave out of each collection what stays for good, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)


def _end_with_supervisor() -> None:
    if os.environ.get("AEN_SUPERVISED") == "1":
        from compute_agent.host.process import die_with_parent

        die_with_parent()


def _silence_addresses() -> None:
    """Keep uvicorn from logging addresses with their query, which may hold an app's token."""
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: not str(record.msg).startswith('%s - "WebSocket')
    )


_end_with_supervisor()
_silence_addresses()
application: App = ProtocolTypeRouter(
    {"http": http, "websocket": AppWebSocketConsumer.as_asgi(), "lifespan": lifespan}
)
