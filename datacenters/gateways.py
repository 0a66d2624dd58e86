"""Knowing gateways: by credential, and by the addresses browsers use."""

import time

from django.http import HttpRequest

from accounts.secrets import digest
from accounts.transactions import AWAY
from gateway.protocol.origins import own_address

from .models import Gateway

_known: tuple[float, list[str]] = (0.0, [])


def by_credential(authorization: str) -> Gateway | None:
    """Return the gateway whose credential stands in that ``Authorization`` header."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not credential:
        return None
    return Gateway.objects.filter(credential_digest=digest(credential.strip())).first()


def of_request(request: HttpRequest) -> Gateway | None:
    """Return the gateway that makes this request."""
    return by_credential(request.headers.get("Authorization", ""))


def ask_later() -> None:
    """Don't ask for the addresses again at once: the database was just found away, after a wait."""
    global _known  # noqa: PLW0603
    until, urls = _known
    _known = (max(until, time.monotonic() + 2), urls)


def public_urls() -> list[str]:
    """Return the addresses of all gateways, as of at most ten seconds ago: every page asks.

    Of one whose apps have names of their own: its own, and all below with a star. Without a database,
    those known before: the page that says so needs none.
    """
    global _known  # noqa: PLW0603
    until, urls = _known
    if time.monotonic() > until:
        try:
            given = set(Gateway.objects.values_list("url", flat=True))
        except AWAY:
            ask_later()
        else:
            urls = sorted(given | {own_address(url) for url in given})
            _known = (time.monotonic() + 10, urls)
    return urls
