"""What a person has to do with which project. The one place that asks guardian."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db.models import Q, QuerySet
from django.http import Http404
from guardian.models import GroupObjectPermission, UserObjectPermission

from accounts import authz
from accounts.authz import ROLES, Role
from accounts.errors import Forbidden
from accounts.models import User

from .models import Project

PREFIX = "role_"


def role_of(user: User, project: Project) -> Role | None:
    """Return the strongest role a person has in a project, their groups' included."""
    if not user.is_authenticated or not user.is_active:
        return None
    if project.owner_id == user.pk:
        return "owner"
    names = [*_codenames(UserObjectPermission, project, user=user)]
    names += _codenames(GroupObjectPermission, project, group__in=_groups(user))
    return _best(names)


def _best(codenames: list[str]) -> Role | None:
    return next((role for role in ROLES if PREFIX + role in codenames), None)


def only_by_group(user: User, project: Project) -> bool:
    """Say whether a person is in the team by a group alone."""
    by_group = _codenames(GroupObjectPermission, project, group__in=_groups(user))
    return bool(by_group) and not _codenames(UserObjectPermission, project, user=user)


def _groups(user: User) -> list[object]:
    return list(user.groups.values_list("pk", flat=True))


def _codenames(model: type, project: Project, **who: object) -> list[str]:
    rows = model.objects.filter(permission__content_type=_type(), object_pk=str(project.pk), **who)
    return list(rows.values_list("permission__codename", flat=True))


def _type() -> ContentType:
    return ContentType.objects.get_for_model(Project)


def may(user: User, project: Project, permission: authz.Permission) -> bool:
    """Say whether a person may do something in a project."""
    public = project.is_public and user.is_authenticated and user.is_active
    return authz.allows(role_of(user, project), permission, public=public)


def require(user: User, project: Project, permission: authz.Permission) -> None:
    """Return if the person may; else ``Http404`` for what they may not see, or ``Forbidden``."""
    if may(user, project, permission):
        return
    if not may(user, project, "view"):
        raise Http404
    raise Forbidden(f"Your role in {project} does not allow this. Ask {project.owner.username}.")


def may_set_for(by: User, project: Project, user: User) -> bool:
    """Say whether ``by`` may set what ``user`` may do with files: never what an owner may."""
    return may_set_role(role_of(by, project), role_of(user, project))


def may_set_role(mine: Role | None, role: Role | None) -> bool:
    """The same by roles: what managers may do, oneself included, is the owner's matter."""
    if role == "owner" or not authz.allows(mine, "set_access"):
        return False
    return mine == "owner" or role != "manager"


def get_project(user: User, owner: str, name: str) -> Project:
    """Return a project the person may see; ``Http404`` for all others, there or not."""
    rows = Project.objects.select_related("owner", "data_center", "node")
    project = rows.filter(owner__username=owner, name=name).first()
    if project is None or not may(user, project, "view"):
        raise Http404
    return project


def shared_ids(user: User) -> list[UUID]:
    """Return the ids of projects in whose team the person is, without their own."""
    by_user = UserObjectPermission.objects.filter(permission__content_type=_type(), user=user)
    by_group = GroupObjectPermission.objects.filter(
        permission__content_type=_type(), group__in=_groups(user)
    )
    keys = {
        *by_user.values_list("object_pk", flat=True),
        *by_group.values_list("object_pk", flat=True),
    }
    return [UUID(key) for key in keys]


def team_projects(user: User) -> QuerySet[Project]:
    """Return the projects a person owns or is in the team of."""
    return _rows(_of_team(user))


def visible_projects(user: User) -> QuerySet[Project]:
    """Return all projects a person may see: their own, shared ones, and the public ones."""
    if not user.is_authenticated:
        return Project.objects.none()
    return _rows(_of_team(user) | Q(visibility=Project.Visibility.PUBLIC))


def _of_team(user: User) -> Q:
    """Ids for what guardian knows alone: of public projects there may be more than a query takes."""
    return Q(owner=user) | Q(pk__in=shared_ids(user))


def _rows(where: Q) -> QuerySet[Project]:
    rows = Project.objects.filter(where).select_related("owner", "node", "data_center")
    # For the apps of projects that have no node yet, and the addresses of those that run.
    return rows.prefetch_related("data_center__nodes", "data_center__gateways")


def roles_of(user: User, projects: Iterable[Project]) -> dict[UUID, Role]:
    """Return a person's role in each project that they have one in, by its id.

    ``role_of`` for many, in as many queries as for one, and without the others of their teams.
    """
    if not user.is_authenticated or not user.is_active:
        return {}
    projects = list(projects)
    ids = [str(row.pk) for row in projects]
    names: dict[str, list[str]] = {}
    for model, who in (
        (UserObjectPermission, {"user": user}),
        (GroupObjectPermission, {"group__in": _groups(user)}),
    ):
        rows = model.objects.filter(permission__content_type=_type(), object_pk__in=ids, **who)
        for key, codename in rows.values_list("object_pk", "permission__codename"):
            names.setdefault(key, []).append(codename)
    roles = {UUID(key): strongest for key, found in names.items() if (strongest := _best(found))}
    return roles | {row.pk: "owner" for row in projects if row.owner_id == user.pk}


Team = list[tuple[User, Role]]


def team(project: Project) -> Team:
    """Return the people of a project with their roles: the owner, then by role and name."""
    return teams([project])[project.pk]


def teams(projects: Iterable[Project]) -> dict[UUID, Team]:
    """Return the team of each project, by its id; as many queries for many as for one."""
    projects = list(projects)
    roles: dict[UUID, dict[User, Role]] = {row.pk: {row.owner: "owner"} for row in projects}
    for project_id, user, codename in _memberships(list(roles)):
        role, of_project = codename.removeprefix(PREFIX), roles[project_id]
        if user not in of_project or ROLES.index(role) < ROLES.index(of_project[user]):
            of_project[user] = role
    return {
        pk: sorted(found.items(), key=lambda item: (ROLES.index(item[1]), item[0].username))
        for pk, found in roles.items()
    }


def _memberships(ids: list[UUID]) -> Iterator[tuple[UUID, User, str]]:
    """Yield project, person and codename, for rows of people and of their groups."""
    of_projects = {"permission__content_type": _type(), "object_pk__in": [str(pk) for pk in ids]}
    rows = UserObjectPermission.objects.filter(**of_projects).select_related("user", "permission")
    for row in rows:
        yield UUID(row.object_pk), row.user, row.permission.codename
    groups = list(GroupObjectPermission.objects.filter(**of_projects).select_related("permission"))
    people = _people({row.group_id for row in groups})
    for row in groups:
        for user in people.get(row.group_id, []):
            yield UUID(row.object_pk), user, row.permission.codename


def _people(groups: set[object]) -> dict[object, list[User]]:
    """Return who is in each group, by its id. ``prefetch_related`` would say it shorter, but not on
    MongoDB."""
    found: dict[object, list[User]] = {}
    for row in User.groups.through.objects.filter(group__in=groups).select_related("user"):
        found.setdefault(row.group_id, []).append(row.user)
    return found


def role_permissions() -> QuerySet[Permission]:
    """Return guardian's permissions that stand for roles."""
    return Permission.objects.filter(content_type=_type(), codename__startswith=PREFIX)
