"""Making what is true on nodes follow what people want, also when messages were lost.

``due`` runs for each look of a gateway's wire: it says which commands are to be sent. ``heal`` runs
in the worker: it ends what nobody reports on any more.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from compute_agent.protocol import Command, EnvironmentChange, Forget, Launch, Stop
from datacenters.models import Node
from datacenters.wire import Due

from . import events, idle, lifecycle
from .models import AppInstance
from .specs import spec

#: A command that was not followed by a report is sent again after this time; all are idempotent.
RESEND = timedelta(seconds=5)
#: A start whose node can't be reached is given up after this time.
UNREACHABLE = timedelta(seconds=15)
#: Seconds after the database was away in which nothing is given up: gateways have to come back first.
COMING_BACK = 20.0

_patient_until = 0.0


def due(data_center: UUID) -> Iterator[Due]:
    """Yield the commands that are due in a data center, noting each as sent."""
    now = timezone.now()
    not_sent = Q(commanded_at=None) | Q(commanded_at__lt=now - RESEND)
    wanted = Q(state__in=["requested", "stopping"]) | Q(
        state__in=list(lifecycle.ENDED), forgotten=False
    )
    rows = AppInstance.objects.filter(
        not_sent, wanted, node__data_center=data_center, node__up=True
    )
    for row in rows.select_related("node", "project__owner", "user")[:100]:
        claimed = AppInstance.objects.filter(
            pk=row.pk, state=row.state, commanded_at=row.commanded_at
        ).update(commanded_at=now, forgotten=row.state in lifecycle.ENDED)
        if claimed:
            yield row.node, row.pk.hex, _command(row)


def _command(row: AppInstance) -> Command:
    if row.state == "stopping":
        return Stop(row.pk.hex)
    if row.state in lifecycle.ENDED:
        return Forget(row.pk.hex)
    return Launch(
        app_id=row.pk.hex,
        app=row.app,
        project=spec(row.project),
        account=row.user.unix_account,
        url_prefix=row.path,
        change=msgspec.convert(row.change, EnvironmentChange | None),
    )


def heal() -> None:
    """End the starts that will not come to anything, with the cause, and what nobody uses."""
    idle.heal()
    if time.monotonic() < _patient_until:
        return
    now = timezone.now()
    for row in AppInstance.objects.filter(state__in=list(lifecycle.BUSY)).select_related("node"):
        last = row.reported_at or row.requested_at
        if row.state == "stopping":
            continue  # it ends when its node says so, and not before
        if not row.node.is_up and now - last > UNREACHABLE:
            _give_up(row, *_unreachable(row.node))
        elif (now - last).total_seconds() > settings.AEN_START_TIMEOUT:
            _give_up(
                row,
                f"Nothing was heard of the start for {settings.AEN_START_TIMEOUT:.0f} s.",
                "Start it again; if it happens again, look into the node’s log.",
            )


def database_was_away() -> None:
    """Judge nobody by the silence of a while in which nothing could be written down."""
    global _patient_until  # noqa: PLW0603
    _patient_until = time.monotonic() + COMING_BACK


def _unreachable(node: Node) -> tuple[str, str]:
    return (
        f"{node} can’t be reached. {node.cause}".strip(),
        "It is tried again when you open the app; an administrator can look into the node’s log.",
    )


def _give_up(row: AppInstance, cause: str, mend: str) -> None:
    events.apply(row, "fail", cause=cause[:400], mend=mend, commanded_at=None)
