"""Answers that the gateway gives itself, ready to be sent."""

from . import pages
from .core import Gateway
from .forwarding import Headers
from .refusals import TurnedAway


def framed(headers: Headers) -> bool:
    """Return whether the request has a body."""
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in headers)


def own_answer(
    gateway: Gateway, headers: Headers, turned: TurnedAway
) -> tuple[int, Headers, bytes]:
    """Return status, header fields and body of an answer that the gateway gives itself."""
    if turned.page is None:
        fields = [
            (b"location", turned.location.encode("latin-1")),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        ]
        return 302, fields + turned.fields, b""
    html = pages.wants_html(headers)
    config = gateway.config
    own = config.own_url if config.has_origins else ""
    fields, body = pages.render(turned.page, html=html, home=config.server_public, own=own)
    return turned.page.status, fields + turned.fields, body
