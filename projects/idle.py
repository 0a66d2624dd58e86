"""When an app that nobody uses is stopped, and what is said before: the one place of that policy.

The site's settings ``AEN_IDLE_STOP`` and ``AEN_IDLE_STOP_APPS`` hold the hours; 0 is never. What
counts as use is the node's to say; an app whose node is away, or said nothing of it, goes on.
"""

import math
from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts import audit
from accounts.transactions import atomic, retried
from datacenters.models import Node

from . import events
from .models import AppInstance

#: A person is told this long before, or a tenth of the limit if that is less.
WARNING = timedelta(minutes=10)
#: How long a node must have been up: what its apps did while it was away arrives meanwhile.
STEADY = timedelta(minutes=2)
MINUTE = timedelta(minutes=1)


def limit(app: str) -> timedelta | None:
    """Return how long an app may be unused, ``None`` for any time."""
    hours = settings.AEN_IDLE_STOP_APPS.get(app, settings.AEN_IDLE_STOP)
    return timedelta(hours=hours) if hours else None


def stops_at(row: AppInstance) -> datetime | None:
    """Return when the app is stopped unless it is used before; ``None`` where it goes on."""
    allowed = None if row.is_change else limit(row.app)
    if allowed is None or row.state != "running" or row.active_at is None or not row.node.is_up:
        return None
    signs = (row.active_at, row.running_at, row.kept_at)
    return max(at for at in signs if at is not None) + allowed


def minutes_left(row: AppInstance) -> int | None:
    """Return the minutes until it is stopped, once its person is to be told."""
    at, allowed = stops_at(row), limit(row.app)
    if at is None or allowed is None:
        return None
    left = at - timezone.now()
    return max(1, math.ceil(left / MINUTE)) if left <= min(WARNING, allowed / 10) else None


# --- stopping ------------------------------------------------------------------------------------


class SteadyNodes:
    """Knows since when each node has been up, as far as this process has looked."""

    def __init__(self) -> None:
        self._since: dict[UUID, datetime] = {}

    def look(self) -> list[UUID]:
        """Return the ids of those that have been up for long enough."""
        now = timezone.now()
        up = [node.pk for node in Node.objects.only("up", "last_seen") if node.is_up]
        self._since = {pk: self._since.get(pk, now) for pk in up}
        return [pk for pk, since in self._since.items() if now - since >= STEADY]


_nodes = SteadyNodes()


def heal() -> None:
    """Stop what nobody has used for longer than it may be unused."""
    if settings.AEN_IDLE_STOP or any(settings.AEN_IDLE_STOP_APPS.values()):
        stop_unused(_nodes.look())


def stop_unused(nodes: Collection[UUID]) -> None:
    """The same for the apps on these nodes."""
    known = [settings.AEN_IDLE_STOP, *settings.AEN_IDLE_STOP_APPS.values()]
    before = timezone.now() - timedelta(hours=min(hours for hours in known if hours))
    rows = AppInstance.objects.filter(state="running", node__in=nodes, active_at__lt=before)
    for pk in rows.exclude(Q(kept_at__gte=before) | Q(running_at__gte=before)).values_list(
        "pk", flat=True
    ):
        _stop_if_unused(pk)


@retried
def _stop_if_unused(pk: UUID) -> None:
    """Look once more, with nobody beside us, and stop it."""
    with atomic():
        rows = AppInstance.objects.select_related("project__owner", "user", "node")
        row = rows.select_for_update(of=("self",)).filter(pk=pk).first()
        at = stops_at(row) if row is not None else None
        if row is None or at is None or at > timezone.now():
            return
        time = in_words(limit(row.app) or timedelta())
        cause = f"Stopped after {time} without activity. Saved files are safe."
        if events.apply(row, "stop", target="stopped", commanded_at=None, cause=cause):
            audit.record("app.idle", str(row.project), by=None, project=row.project_id,
                         app=row.app, user=row.user.username, unused=time)  # fmt: skip


def in_words(time: timedelta) -> str:
    """Return a limit as people write it: ``8 h``, ``1.5 h``, ``30 min``."""
    hours = time / timedelta(hours=1)
    return f"{hours:g} h" if hours >= 1 else f"{time / MINUTE:.0f} min"
