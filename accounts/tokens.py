"""Recognising API tokens."""

from datetime import timedelta

from django.utils import timezone

from .models import ApiToken
from .secrets import digest


def find(secret: str, scope: str) -> ApiToken | None:
    """Return the token with that secret if it has ``scope`` and its person is active."""
    token = ApiToken.objects.select_related("user").filter(digest=digest(secret)).first()
    if token is None or scope not in token.scopes or not token.user.is_active:
        return None
    _note_use(token)
    return token


def _note_use(token: ApiToken) -> None:
    # Once a minute is enough to see whether a token is in use, and spares a write per request.
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at > timedelta(minutes=1):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
