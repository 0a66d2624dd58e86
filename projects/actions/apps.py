"""Starting, stopping and resetting apps."""

from uuid import UUID

from django.http import Http404
from django.utils import timezone

from accounts import audit, turns
from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import User
from accounts.transactions import atomic, retried
from datacenters import placement
from datacenters.models import Node
from datacenters.wake import wake

from .. import access, catalog, events, lifecycle
from ..models import AppInstance, Project
from .locking import lock, read_node


def active_in(project: Project) -> "AppInstance.objects":
    rows = AppInstance.objects.filter(project=project, state__in=list(lifecycle.ACTIVE))
    return rows.select_related("project__owner", "user", "node")


@retried
def start_app(project: Project, app: str, *, by: User) -> AppInstance:
    """Start the person's own instance of an app, or return the one that is active already.

    Raises ``Invalid`` for an app the node does not offer, ``Conflict`` when no node can take it.
    """
    access.require(by, project, "start")
    slot = AppInstance.slot_of(project, by, app)
    if active := _in_slot(slot):
        return active
    node = node_for(project)
    if not catalog.offers_app(project, app):
        raise Invalid("app", f"There is no app “{app[:40]}” on {node}.")
    with atomic():
        turns.lock(by)
        lock(project)
        access.require(by, project, "start")  # the team may have changed meanwhile
        # The same two fingers may have been faster: theirs is ours.
        return _in_slot(slot) or _request(project, app, node, slot, by)


def _request(project: Project, app: str, node: Node, slot: str, by: User) -> AppInstance:
    instance = AppInstance.objects.create(project=project, user=by, app=app, node=node, slot=slot)
    audit.record("app.start", str(project), by=by, project=project.pk, app=app)
    Project.objects.filter(pk=project.pk).update(last_activity=timezone.now())
    _dismiss_older(instance)
    wake()
    return instance


def _in_slot(slot: str) -> AppInstance | None:
    return (
        AppInstance.objects.filter(slot=slot)
        .select_related("project__owner", "node", "user")
        .first()
    )


@retried
def node_for(project: Project) -> Node:
    """Return the project's node, chosen now if this is its first start. Raises ``Conflict``."""
    if project.node is None:
        node = placement.choose_node(project.data_center)
        if node is None:
            raise Conflict(placement.why_no_node(project.data_center))
        with atomic():
            if not placement.hold(node):
                raise Conflict(f"{node} was removed this moment. Try again.")
            # Two first starts at once: the first to write decides where the project lives.
            Project.objects.filter(pk=project.pk, node=None).update(node=node)
            read_node(project)
    assert project.node is not None
    if project.node.is_gone:
        cause = project.node.cause or "it does not answer"
        raise Conflict(f"{project.node} can’t be reached: {cause} Your files there are safe.")
    return project.node


def _dismiss_older(instance: AppInstance) -> None:
    older = AppInstance.objects.filter(
        project=instance.project_id, user=instance.user_id, app=instance.app, state="failed"
    )
    older.exclude(pk=instance.pk).update(dismissed=True)


def stop_app(
    project: Project, app: str, *, by: User, user: User | None = None
) -> AppInstance | None:
    """Stop a person's (by default one's own) instance; one that is stopped stays so."""
    owner = user or by
    access.require(by, project, "start" if owner.pk == by.pk else "stop_any")
    instance = _in_slot(AppInstance.slot_of(project, owner, app))
    if instance is None:
        return catalog.newest_instances(project, owner).get(app)
    ask_to_stop(instance, by=by)
    return instance


def stop_instance(instance_id: UUID, *, by: User) -> None:
    """Stop any instance, as an administrator."""
    if not by.is_staff:
        raise Forbidden("Only administrators stop other people’s apps here.")
    rows = AppInstance.objects.select_related("project__owner", "user", "node")
    row = rows.filter(pk=instance_id).first()
    if row is None:
        raise Http404
    ask_to_stop(row, by=by)


def stop_project(project: Project, *, by: User) -> None:
    """Stop the apps of a project: one's own, or everybody's where one may."""
    access.require(by, project, "start")
    for instance in stoppable(project, by=by):
        ask_to_stop(instance, by=by)


def stoppable(project: Project, *, by: User) -> "AppInstance.objects":
    """Return what ``stop_project`` would end."""
    rows = active_in(project).exclude(state="stopping")
    return rows if access.may(by, project, "stop_any") else rows.filter(user=by)


@retried
def ask_to_stop(instance: AppInstance, *, by: User | None) -> None:
    """Ask once for the end of what is active. ``by`` is audited; the system says why elsewhere."""
    with atomic():
        asked = {"target": "stopped", "commanded_at": None} | _whose_wish(instance, by)
        if events.until_applied(instance, "stop", by=by, **asked) and by:
            whose = {} if instance.user_id == by.pk else {"user": instance.user.username}
            audit.record("app.stop", str(instance.project), by=by, project=instance.project_id,
                         app=instance.app, **whose)  # fmt: skip


def _whose_wish(instance: AppInstance, by: User | None) -> dict[str, str]:
    """Return what its person is told of an end that somebody else asked for."""
    if by is None or by.pk == instance.user_id:
        return {}
    return {"cause": f"Stopped by {by.username}. Saved files are safe."}


def keep_app(project: Project, app: str, *, by: User) -> AppInstance | None:
    """Have one's own running app count as used now."""
    access.require(by, project, "start")
    own = AppInstance.objects.filter(slot=AppInstance.slot_of(project, by, app), state="running")
    own.update(kept_at=timezone.now())
    return catalog.newest_instances(project, by).get(app)


@retried
def reset_app(project: Project, app: str, *, by: User) -> AppInstance | None:
    """Put a failed app back to stopped: its cause was read."""
    access.require(by, project, "start")
    instance = catalog.newest_instances(project, by).get(app)
    if instance is not None and instance.state == "failed":
        with atomic():
            events.apply(instance, "reset", by=by, dismissed=True)
            audit.record("app.reset", str(project), by=by, project=project.pk, app=app)
    return instance
