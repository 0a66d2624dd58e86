"""Who is in a project's team, and what follows when that changes."""

from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm

from accounts import audit, authz, turns
from accounts.authz import Role
from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import User
from accounts.transactions import atomic, retried
from datacenters import revocation

from .. import access
from ..models import Project
from .apps import active_in, ask_to_stop
from .locking import lock
from .permissions import drop_overrides
from .securing import secure


@retried
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
        turns.lock(user)
        lock(project)
        _check_grant(project, user, role, by)
        _drop_roles(project, user)
        assign_perm(f"projects.{access.PREFIX}{role}", user, project)
        audit.record("team.set", str(project), by=by, project=project.pk, user=username, role=role)
        if not authz.allows(role, "start"):
            _end_apps(project, user)
        _team_changed(project)
    return user


@retried
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
        lock(project)
        _check_removal(project, user, by)
        if not _drop_roles(project, user):
            return
        audit.record("team.remove", str(project), by=by, project=project.pk, user=username)
        if access.role_of(user, project) is None:  # else a group of theirs is in the team
            drop_overrides(project, user)
        _end_apps(project, user)
        _team_changed(project)


def drop_from_team(project: Project, user: User) -> None:
    """Take from a person who is being removed from the site what they have here, on the node, too."""
    if _drop_roles(project, user) + drop_overrides(project, user):
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
    revocation.revoke("project", project.pk)
    secure(project)


def _end_apps(project: Project, user: User) -> None:
    for instance in active_in(project).filter(user=user):
        ask_to_stop(instance, by=None)
