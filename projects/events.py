"""The one function that changes an app's state."""

from typing import Any

from django.utils import timezone

from accounts import audit
from accounts.models import User
from accounts.transactions import atomic, retried
from datacenters import revocation
from datacenters.wake import wake

from . import lifecycle
from .lifecycle import Event
from .models import AppInstance, Project

#: What is worth a line in a project's history, by the state that was reached.
_VERBS = {"running": "app.ready", "failed": "app.fail", "stopped": "app.end"}


@retried
def apply(instance: AppInstance, event: Event, *, by: User | None = None, **fields: Any) -> bool:
    """Apply ``event`` and set ``fields``, if the row is still in the state that was read.

    Returns whether it was: on ``False`` somebody else was faster, and the caller reads again.
    """
    state = lifecycle.after(instance.state, event)
    changed = state != instance.state
    if changed:
        fields |= _times(state) | {"state": state}
    if state in lifecycle.ENDED:
        fields["slot"] = instance.pk.hex
        fields["target"] = "stopped"
    if not fields:
        return True
    with atomic():
        rows = AppInstance.objects.filter(pk=instance.pk, state=instance.state)
        if not rows.update(**fields):
            return False
        if changed:
            _announce(instance, state, by, fields.get("cause", ""), fields.get("exit_code"))
    for name, value in fields.items():
        setattr(instance, name, value)
    return True


def until_applied(instance: AppInstance, event: Event, **fields: Any) -> bool:
    """Apply ``event`` whatever others do meanwhile. Returns whether it changed the state.

    Where it is stale, or the row is gone with its project, nothing happens.
    """
    while lifecycle.after(instance.state, event) != instance.state:
        if apply(instance, event, **fields):
            return True
        if not reread(instance):
            return False
    return False


def reread(instance: AppInstance) -> bool:
    """Read the row anew. Returns whether it is there still."""
    try:
        instance.refresh_from_db()
    except AppInstance.DoesNotExist:
        return False
    return True


def _times(state: str) -> dict[str, Any]:
    now = timezone.now()
    if state == "running":
        return {"running_at": now}
    if state in lifecycle.ENDED:
        return {"ended_at": now}
    return {}


def _announce(
    instance: AppInstance, state: str, by: User | None, cause: str, code: int | None
) -> None:
    Project.objects.filter(pk=instance.project_id).update(last_activity=timezone.now())
    if state not in lifecycle.ACTIVE or state == "stopping":
        revocation.revoke("app_id", instance.pk)
    wake()
    if instance.is_change:
        _note_change(instance, state, by, cause, code)
    elif verb := _VERBS.get(state):
        audit.record(
            verb,
            str(instance.project),
            by=by or instance.user,
            project=instance.project_id,
            app=instance.app,
            **({"cause": cause} if cause else {}),
        )


def _note_change(
    instance: AppInstance, state: str, by: User | None, cause: str, code: int | None
) -> None:
    """Write down how a change of environments ended: what ended with 0 was done."""
    ended = {"failed": "fail", "stopped": "done" if code == 0 else "cancel"}
    if instance.state != "failed" and state in ended:
        audit.record(
            f"environment.{ended[state]}",
            str(instance.project),
            by=by or instance.user,
            project=instance.project_id,
            name=instance.change["name"],
            action=instance.change["action"],
            **({"cause": cause} if cause else {}),
        )
