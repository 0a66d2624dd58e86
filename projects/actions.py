"""Every change to projects and apps, audited. Pages, REST, the admin and commands call these."""

from uuid import UUID

from django.db import IntegrityError
from django.db.models import F
from django.http import Http404
from django.utils import timezone
from guardian.models import GroupObjectPermission, UserObjectPermission
from guardian.shortcuts import assign_perm

from accounts import audit, authz, names
from accounts.authz import Role
from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import User
from accounts.transactions import atomic
from compute_agent.protocol import RemoveProject, SecureProject
from datacenters import outbox, placement, revocation
from datacenters.models import DataCenter, Node
from datacenters.wake import wake

from . import access, catalog, events, lifecycle
from .models import AppInstance, Project
from .specs import spec

SUMMARY_LIMIT = 200
DESCRIPTION_LIMIT = 20_000


def _lock(project: Project) -> None:
    """Let one change of a project happen at a time; ``Http404`` if it was deleted meanwhile.

    What a change depends on is asked once more after this, in the same transaction: others may have
    been faster. An update that changes nothing is a lock that every database has.
    """
    if not Project.objects.filter(pk=project.pk).update(last_activity=F("last_activity")):
        raise Http404


# --- projects ------------------------------------------------------------------------------------


def create_project(
    owner: User,
    name: str,
    *,
    visibility: str = "private",
    summary: str = "",
    data_center: str | None = None,
) -> Project:
    """Create a project. Nothing happens on a node before its first start.

    Raises ``Invalid`` naming the field, or ``Conflict`` when the owner has one of that name.
    """
    names.check("name", name, names.RESERVED_PROJECTS)
    project = Project(
        owner=owner,
        name=name,
        visibility=_visibility(visibility),
        summary=_text("summary", summary, SUMMARY_LIMIT),
        data_center=_data_center(data_center),
    )
    try:
        with atomic():
            project.save(force_insert=True)
            audit.record("project.create", str(project), by=owner, project=project.pk)
    except IntegrityError as error:
        raise Conflict(
            f"You have a project “{name}” already. Choose another name.", "name"
        ) from error
    return project


def _visibility(value: str) -> str:
    if value not in Project.Visibility.values:
        raise Invalid("visibility", "A project’s visibility is private or public.")
    return value


def _text(field: str, value: str, limit: int) -> str:
    value = value.strip()
    if len(value) > limit:
        raise Invalid(field, f"The {field} has {len(value):,} characters; {limit:,} fit.")
    if "\x00" in value:
        raise Invalid(field, f"The {field} holds a NUL character, which can’t be stored.")
    return value


def _data_center(name: str | None) -> DataCenter:
    if name:
        row = DataCenter.objects.filter(name=name).first()
        if row is None:
            raise Invalid("data_center", f"There is no data center “{name[:40]}”.")
        return row
    row = placement.default_data_center()
    if row is None:
        raise Conflict("This site has no data center yet. An administrator can enrol one.")
    return row


def update_project(project: Project, *, by: User, **changes: str) -> Project:
    """Change ``summary``, ``description`` or ``visibility``."""
    access.require(by, project, "edit")
    fields: dict[str, str] = {}
    if "summary" in changes:
        fields["summary"] = _text("summary", changes["summary"], SUMMARY_LIMIT)
    if "description" in changes:
        fields["description"] = _text("description", changes["description"], DESCRIPTION_LIMIT)
    if "visibility" in changes and changes["visibility"] != project.visibility:
        access.require(by, project, "publish")
        fields["visibility"] = _visibility(changes["visibility"])
    changed = {name: value for name, value in fields.items() if getattr(project, name) != value}
    if changed:
        with atomic():
            Project.objects.filter(pk=project.pk).update(**changed)
            what = {k: v for k, v in changed.items() if k != "description"}
            audit.record("project.update", str(project), by=by, project=project.pk,
                         fields=sorted(changed), **what)  # fmt: skip
        for name, value in changed.items():
            setattr(project, name, value)
    return project


def delete_project(project: Project, *, by: User) -> None:
    """Delete a project, its running apps and its files on the node."""
    access.require(by, project, "delete")
    with atomic():
        _lock(project)
        _read_node(project)  # a first start may just have chosen it
        if project.node is not None:
            outbox.send(project.node, RemoveProject(spec(project)))
        audit.record("project.delete", str(project), by=by, project=project.pk)
        revocation.revoke("project", project.pk)
        for model in (UserObjectPermission, GroupObjectPermission):
            model.objects.filter(object_pk=str(project.pk)).delete()
        project.delete()


# --- the team ------------------------------------------------------------------------------------


def set_role(project: Project, username: str, role: Role, *, by: User) -> User:
    """Add a person to the team, or change their role.

    Raises ``Invalid`` for an unknown person or role, ``Forbidden`` for more than one may give.
    """
    access.require(by, project, "manage_team")
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Invalid("user", f"There is no user “{username[:40]}”.")
    if role not in authz.ACCESS:
        raise Invalid("role", f"A role is {', '.join(sorted(authz.ACCESS))}.")
    if user.pk == project.owner_id:
        raise Invalid("user", f"{username} owns the project. An owner’s role can’t be changed.")
    _check_grant(project, user, role, by)
    with atomic():
        _lock(project)
        _check_grant(project, user, role, by)
        _drop_roles(project, user)
        assign_perm(f"projects.{access.PREFIX}{role}", user, project)
        audit.record("team.set", str(project), by=by, project=project.pk, user=username, role=role)
        if not authz.allows(role, "start"):
            _end_apps(project, user)
        _team_changed(project)
    return user


def remove_member(project: Project, username: str, *, by: User) -> None:
    """Remove a person: their apps here end, what they have open closes, their ACL entries go.

    People may always leave by themselves. Removing someone who is not in the team changes nothing.
    """
    user = User.objects.filter(username=username).first()
    if user is None or user.pk != by.pk:
        access.require(by, project, "manage_team")
    if user is None:
        raise Invalid("user", f"There is no user “{username[:40]}”.")
    if user.pk == project.owner_id:
        raise Invalid("user", f"{username} owns the project and can’t be removed from it.")
    _check_removal(project, user, by)
    with atomic():
        _lock(project)
        _check_removal(project, user, by)
        if not _drop_roles(project, user):
            return
        audit.record("team.remove", str(project), by=by, project=project.pk, user=username)
        _end_apps(project, user)
        _team_changed(project)


def drop_from_team(project: Project, user: User) -> None:
    """Take a person who is being removed from the site out of a team, on the node, too."""
    if _drop_roles(project, user):
        _team_changed(project)


def _check_grant(project: Project, user: User, role: Role, by: User) -> None:
    _check_rank(project, user, by)
    if not authz.may_grant(access.role_of(by, project), role):
        raise Forbidden(f"Your role in {project} does not allow giving the role {role}.")


def _check_removal(project: Project, user: User, by: User) -> None:
    if user.pk != by.pk:
        access.require(by, project, "manage_team")
        _check_rank(project, user, by)
    if access.only_by_group(user, project):
        raise Conflict(f"{user.username} is in the team by a group and can’t be removed alone.")


def _check_rank(project: Project, user: User, by: User) -> None:
    """A manager does not change another manager."""
    role = access.role_of(user, project)
    if role == "manager" and access.role_of(by, project) != "owner":
        raise Forbidden(f"Only {project.owner.username} can change a manager’s role.")


def _drop_roles(project: Project, user: User) -> int:
    rows = UserObjectPermission.objects.filter(
        user=user, object_pk=str(project.pk), permission__in=list(access.role_permissions())
    )
    deleted, _ = rows.delete()
    return deleted


def _team_changed(project: Project) -> None:
    Project.objects.filter(pk=project.pk).update(team_changed_at=timezone.now())
    revocation.revoke("project", project.pk)
    if project.node is not None:
        outbox.send(project.node, SecureProject(spec(project)))


def _end_apps(project: Project, user: User) -> None:
    for instance in _active(project).filter(user=user):
        _ask_to_stop(instance, by=None)


def _active(project: Project) -> "AppInstance.objects":
    rows = AppInstance.objects.filter(project=project, state__in=list(lifecycle.ACTIVE))
    return rows.select_related("project__owner", "user", "node")


# --- apps ----------------------------------------------------------------------------------------


def start_app(project: Project, app: str, *, by: User) -> AppInstance:
    """Start the person's own instance of an app, or return the one that is active already.

    Raises ``Invalid`` for an app the node does not offer, ``Conflict`` when no node can take it.
    """
    access.require(by, project, "start")
    slot = AppInstance.slot_of(project, by, app)
    if active := _in_slot(slot):
        return active
    node = _node_for(project)
    if not catalog.offers_app(project, app):
        raise Invalid("app", f"There is no app “{app[:40]}” on {node}.")
    with atomic():
        _lock(project)
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


def _node_for(project: Project) -> Node:
    if project.node is None:
        node = placement.choose_node(project.data_center)
        if node is None:
            raise Conflict(placement.why_no_node(project.data_center))
        # Two first starts at once: the first to write decides where the project lives.
        Project.objects.filter(pk=project.pk, node=None).update(node=node)
        _read_node(project)
    assert project.node is not None
    if project.node.is_gone:
        cause = project.node.cause or "it does not answer"
        raise Conflict(f"{project.node} can’t be reached: {cause} Your files there are safe.")
    return project.node


def _read_node(project: Project) -> None:
    try:
        project.refresh_from_db(fields=["node"])
    except Project.DoesNotExist as error:
        raise Http404 from error


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
    _ask_to_stop(instance, by=by)
    return instance


def stop_instance(instance_id: UUID, *, by: User) -> None:
    """Stop any instance, as an administrator."""
    if not by.is_staff:
        raise Forbidden("Only administrators stop other people’s apps here.")
    rows = AppInstance.objects.select_related("project__owner", "user", "node")
    row = rows.filter(pk=instance_id).first()
    if row is None:
        raise Http404
    _ask_to_stop(row, by=by)


def stop_project(project: Project, *, by: User) -> None:
    """Stop the apps of a project: one's own, or everybody's where one may."""
    access.require(by, project, "start")
    rows = _active(project)
    if not access.may(by, project, "stop_any"):
        rows = rows.filter(user=by)
    for instance in rows:
        _ask_to_stop(instance, by=by)


def _ask_to_stop(instance: AppInstance, *, by: User | None) -> None:
    """Ask once for the end of what is active. ``by`` is audited; the system says why elsewhere."""
    with atomic():
        if (
            events.until_applied(instance, "stop", by=by, target="stopped", commanded_at=None)
            and by
        ):
            whose = {} if instance.user_id == by.pk else {"user": instance.user.username}
            audit.record("app.stop", str(instance.project), by=by, project=instance.project_id,
                         app=instance.app, **whose)  # fmt: skip


def reset_app(project: Project, app: str, *, by: User) -> AppInstance | None:
    """Put a failed app back to stopped: its cause was read."""
    access.require(by, project, "start")
    instance = catalog.newest_instances(project, by).get(app)
    if instance is not None and instance.state == "failed":
        with atomic():
            events.apply(instance, "reset", by=by, dismissed=True)
            audit.record("app.reset", str(project), by=by, project=project.pk, app=app)
    return instance
