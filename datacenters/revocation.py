"""Telling gateways that access ended, in the moment in which it does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.dispatch import receiver
from django.utils import timezone

from accounts.jobs import task
from accounts.signals import access_ended, session_ended, token_revoked

from .models import GatewaySession, Notice, SignInCode
from .wake import wake

KEEP = timedelta(minutes=5)


def revoke(field: str, value: UUID | str) -> None:
    """Have every gateway drop the grants whose ``field`` is ``value``, and close what they opened."""
    Notice.objects.create(field=field, value=value.hex if isinstance(value, UUID) else value)
    wake()


def end_session(session: GatewaySession) -> None:
    """End one browser's session at a gateway; what it has open there is closed."""
    pk = session.pk
    session.delete()
    revoke("session", pk)


@task("datacenters.prune_revocations")
def prune() -> None:
    """Forget notices that every gateway has heard, and sessions that are over."""
    Notice.objects.filter(at__lt=timezone.now() - KEEP).delete()
    GatewaySession.objects.filter(expires_at__lt=timezone.now()).delete()


@receiver(access_ended)
def _person(sender: object, user: Any, **kwargs: object) -> None:
    GatewaySession.objects.filter(user=user.pk).delete()
    SignInCode.objects.filter(user=user.pk).delete()
    revoke("user", user.pk)


@receiver(token_revoked)
def _token(sender: object, token_id: UUID, **kwargs: object) -> None:
    revoke("token", token_id)


@receiver(session_ended)
def _session(sender: object, session: str, **kwargs: object) -> None:
    # A code that is still on its way would become a session after the sign-out.
    SignInCode.objects.filter(session=session).delete()
    rows = GatewaySession.objects.filter(session=session)
    ids = list(rows.values_list("pk", flat=True))
    rows.delete()
    for pk in ids:
        revoke("session", pk)
