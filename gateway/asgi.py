"""The gateway as an ASGI application: Channels' router over the consumers, and its lifespan."""

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

_app = AppHttpConsumer.as_asgi()
_own = OwnConsumer.as_asgi()


async def http(scope: Any, receive: Any, send: Any) -> None:
    """Send what is under ``/-/`` to the gateway itself, all else to an app."""
    await (_own if scope["raw_path"].startswith(b"/-/") else _app)(scope, receive, send)


async def lifespan(scope: Any, receive: Any, send: Any) -> None:
    """Make the gateway at the start and end it at the end; requests find it in their state."""
    await receive()
    gateway = Gateway(settings.CONFIG)
    await gateway.start()
    scope["state"]["gateway"] = gateway
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await gateway.stop()
    await send({"type": "lifespan.shutdown.complete"})


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
