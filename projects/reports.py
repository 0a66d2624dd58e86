"""Taking what nodes report on apps."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.utils import timezone

from compute_agent.protocol import Answer, AppStatus, Forget, Snapshot, Step, Stop
from datacenters import outbox
from datacenters.models import Node
from gateway.protocol import Undelivered

from . import events, lifecycle
from .models import AppInstance, Project

log = logging.getLogger(__name__)

LOST = "It ended when its node was restarted."
#: An app that lives on after we gave it up reports often; one command for all of that is enough.
AGAIN = timedelta(seconds=5)
#: What is kept of one report, however much a node says.
LINES, LINE, STEPS, WORD = 200, 2000, 20, 400
#: A database's integers end here.
LARGEST = 2**63 - 1
LARGEST_CODE = 2**31 - 1
MOST_PROCESSORS = 100_000.0
_APP_ID = re.compile(r"[0-9a-f]{32}")


def take(node: Node, report: AppStatus | Snapshot | Answer) -> None:
    """Take a report of a node on its own apps; what it says of others' is ignored."""
    if isinstance(report, Snapshot):
        _snapshot(node, report)
    elif isinstance(report, AppStatus):
        _app(node, report)


def _app(node: Node, report: AppStatus) -> None:
    instance = _find(node, report.app_id)
    if instance is None:
        return
    if instance.state in lifecycle.ENDED:
        _after_the_end(node, instance, report)
        return
    if report.revision == instance.revision and instance.is_busy:
        _note_sign_of_life(instance)
    _note_disk(instance, report)
    while instance.state not in lifecycle.ENDED and report.revision > instance.revision:
        fields = _fields(report, instance.cause)
        if events.apply(instance, lifecycle.REPORTED[report.state], **fields):
            return
        if not events.reread(instance):
            return  # its project was deleted


def _note_sign_of_life(instance: AppInstance) -> None:
    """A node that was connected again says what it said before: its start goes on."""
    AppInstance.objects.filter(pk=instance.pk).update(reported_at=timezone.now())


def _note_disk(instance: AppInstance, report: AppStatus) -> None:
    """Keep what the project takes on disk, where a report that is news says something else."""
    if report.project_disk is None or report.revision <= instance.revision:
        return
    used = max(0, min(report.project_disk, LARGEST))
    if used != instance.project.disk:
        Project.objects.filter(pk=instance.project_id).update(disk=used)


def _after_the_end(node: Node, instance: AppInstance, report: AppStatus) -> None:
    """We gave it up. If it lives it must not go on unseen; if it is over it may be forgotten."""
    if report.state in lifecycle.ENDED:
        AppInstance.objects.filter(pk=instance.pk).update(forgotten=False)
    elif report.state != "stopping":
        outbox.send(node, Stop(report.app_id), not_again_within=AGAIN)


def _find(node: Node, app_id: str) -> AppInstance | None:
    rows = AppInstance.objects.select_related("project__owner", "user", "node")
    instance = rows.filter(pk=UUID(app_id)).first()
    if instance is not None and instance.node_id != node.pk:
        log.warning("%s reported on app %s, which is on %s", node, app_id, instance.node)
        return None
    return instance


def _fields(report: AppStatus, cause: str) -> dict[str, Any]:
    """Return what to write down. ``cause``: why we asked for its end; a node does not know that."""
    fields: dict[str, Any] = {
        "revision": min(report.revision, LARGEST),
        "progress": [_step(step) for step in report.progress[-STEPS:]],
        "log": [line[:LINE] for line in report.log[-LINES:]],
        "memory": report.memory and max(0, min(report.memory, LARGEST)),
        "processors": report.processors and max(0.0, min(report.processors, MOST_PROCESSORS)),
        "reported_at": timezone.now(),
    }
    if report.active_at is not None:
        fields["active_at"] = _not_later_than_now(report.active_at)
    if report.state in lifecycle.ENDED:
        fields |= {
            "cause": report.cause[:400] or cause,
            "mend": report.mend[:400],
            "exit_code": _small(report.exit_code),
            "commanded_at": None,
        }
    return fields


def _small(code: int | None) -> int | None:
    return None if code is None else max(-LARGEST_CODE, min(code, LARGEST_CODE))


def _not_later_than_now(at: float) -> datetime:
    now = timezone.now()
    return datetime.fromtimestamp(min(max(0.0, at), now.timestamp()), UTC)


def _step(step: Step) -> dict[str, Any]:
    fact = step.fact[:WORD]
    return msgspec.to_builtins(msgspec.structs.replace(step, step=step.step[:WORD], fact=fact))


def _snapshot(node: Node, snapshot: Snapshot) -> None:
    """Compare what the node knows with what we believe runs on it."""
    known = {app_id for app_id in snapshot.app_ids if _APP_ID.fullmatch(app_id)}
    believed = AppInstance.objects.filter(node=node, state__in=list(lifecycle.ACTIVE))
    for instance in believed.select_related("project__owner", "user"):
        # A request that is still on its way is sent again anyhow.
        if instance.pk.hex not in known and instance.state != "requested":
            events.apply(instance, "end", cause=LOST)
    rows = AppInstance.objects.filter(node=node, pk__in=[UUID(app_id) for app_id in known])
    # What it kept after its end, because it never heard of it, it may forget now.
    rows.filter(state__in=list(lifecycle.ENDED)).update(forgotten=False)
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
