"""Taking what nodes report on apps."""

import logging
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from compute_agent.protocol import AppStatus, Forget, Snapshot, Stop
from datacenters import outbox
from datacenters.models import Node
from gateway.protocol import Undelivered

from . import events, lifecycle
from .models import AppInstance

log = logging.getLogger(__name__)

LOST = "It ended when its node was restarted."


def take(node: Node, report: AppStatus | Snapshot) -> None:
    """Take a report of a node on its own apps; what it says of others' is ignored."""
    if isinstance(report, Snapshot):
        _snapshot(node, report)
    else:
        _app(node, report)


def _app(node: Node, report: AppStatus) -> None:
    instance = _find(node, report.app_id)
    if instance is None:
        return
    if instance.state in lifecycle.ENDED:
        if report.state in lifecycle.ACTIVE and report.state != "stopping":
            # We gave it up, but it lives: it must not go on unseen.
            outbox.send(node, Stop(report.app_id))
        return
    if report.revision <= instance.revision:
        return
    while not events.apply(instance, lifecycle.REPORTED[report.state], **_fields(report)):
        instance.refresh_from_db()


def _find(node: Node, app_id: str) -> AppInstance | None:
    rows = AppInstance.objects.select_related("project__owner", "user", "node")
    instance = rows.filter(pk=UUID(app_id)).first()
    if instance is not None and instance.node_id != node.pk:
        log.warning("%s reported on app %s, which is on %s", node, app_id, instance.node)
        return None
    return instance


def _fields(report: AppStatus) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "revision": report.revision,
        "progress": msgspec.to_builtins(report.progress),
        "log": list(report.log[-200:]),
        "memory": report.memory,
        "reported_at": timezone.now(),
    }
    if report.state in lifecycle.ENDED:
        fields |= {"cause": report.cause[:400], "mend": report.mend[:400], "commanded_at": None}
    return fields


def _snapshot(node: Node, snapshot: Snapshot) -> None:
    """Compare what the node knows with what we believe runs on it."""
    known = set(snapshot.app_ids)
    believed = AppInstance.objects.filter(node=node, state__in=list(lifecycle.ACTIVE))
    for instance in believed.select_related("project__owner", "user"):
        # A request that is still on its way is sent again anyhow.
        if instance.pk.hex not in known and instance.state != "requested":
            events.apply(instance, "end", cause=LOST)
    rows = AppInstance.objects.filter(pk__in=[UUID(app_id) for app_id in known])
    for app_id in known - {pk.hex for pk in rows.values_list("pk", flat=True)}:
        # Its project was deleted while the node was away.
        outbox.send(node, Stop(app_id))
        outbox.send(node, Forget(app_id))


def undelivered(node: Node, lost: Undelivered) -> None:
    """A launch that the node refuses has failed; what merely did not arrive is sent again."""
    if not lost.final:
        AppInstance.objects.filter(pk=UUID(lost.id), node=node).update(forgotten=False)
        return
    instance = _find(node, lost.id)
    if instance is not None and instance.state == "requested":
        events.apply(instance, "fail", cause=lost.cause[:400])
