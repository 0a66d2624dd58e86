"""The server's ASGI application: pages and REST by Django, wire 1's WebSocket by Channels."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

from aen_site.databases import share_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aen_site.settings")
share_connections(settings.DATABASES["default"])
http = get_asgi_application()

from aen_site.lifespan import lifespan  # noqa: E402
from compute_agent.host.process import die_with_parent  # noqa: E402
from datacenters.consumers import GatewayWire, Nowhere  # noqa: E402

if os.environ.get("AEN_SUPERVISED") == "1":
    die_with_parent()

application = ProtocolTypeRouter(
    {
        "http": http,
        "lifespan": lifespan,
        "websocket": URLRouter(
            [path("gateway/wire", GatewayWire.as_asgi()), re_path("", Nowhere.as_asgi())]
        ),
    }
)
