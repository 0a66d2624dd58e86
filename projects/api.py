"""REST: projects, their teams and apps."""

from datetime import datetime
from typing import Any, Literal

from django.conf import settings
from django.db.models import Q
from django.http import Http404, HttpRequest
from ninja import Router, Schema, Status

from accounts.authz import Role
from accounts.models import User

from . import access, actions, catalog, idle
from .models import AppInstance, Project

router = Router()
PAGE_SIZE = 50


class ProjectIn(Schema):
    name: str
    visibility: str = "private"
    summary: str = ""
    data_center: str | None = None


class ProjectPatch(Schema):
    summary: str | None = None
    description: str | None = None
    visibility: str | None = None


class ProjectOut(Schema):
    id: str
    owner: str
    name: str
    visibility: str
    summary: str
    data_center: str
    node: str | None
    #: Bytes; ``None`` while they are not known.
    disk: int | None = None
    role: str | None
    url: str


class ProjectPage(Schema):
    items: list[ProjectOut]
    page: int
    pages: int
    count: int


class MemberIn(Schema):
    role: Literal["viewer", "editor", "manager"]


class MemberOut(Schema):
    user: str
    role: str


class Step(Schema):
    step: str
    at: float
    seconds: float | None
    fact: str = ""


class AppOut(Schema):
    id: str | None
    app: str
    user: str
    node: str | None
    state: str
    cause: str
    mend: str = ""
    progress: list[Step]
    url: str | None
    #: Bytes, and processors busy; ``None`` while they are not known.
    memory: int | None = None
    processors: float | None = None
    #: When it was last used, and when it stops unless it is used; ``None`` where that is not known.
    active_at: datetime | None = None
    stops_at: datetime | None = None


class OfferOut(Schema):
    app: str
    title: str
    state: str
    instance: AppOut | None


class Log(Schema):
    lines: list[str]


def _project(request: HttpRequest, owner: str, name: str) -> Project:
    return access.get_project(request.user, owner, name)


def _project_out(project: Project, role: Role | None) -> dict[str, Any]:
    return {
        "id": str(project.pk),
        "owner": project.owner.username,
        "name": project.name,
        "visibility": project.visibility,
        "summary": project.summary,
        "data_center": project.data_center.name,
        "node": project.node.name if project.node else None,
        "disk": project.disk,
        "role": role,
        "url": settings.AEN_PUBLIC_URL + project.get_absolute_url(),
    }


def _one_project(project: Project, user: User) -> dict[str, Any]:
    return _project_out(project, access.role_of(user, project))


def _app_out(instance: AppInstance | None, app: str, user: User) -> dict[str, Any]:
    if instance is None:
        return {"id": None, "app": app, "user": user.username, "node": None, "state": "stopped",
                "cause": "", "progress": [], "url": None}  # fmt: skip
    return {
        "id": str(instance.pk),
        "app": instance.app,
        "user": user.username,
        "node": instance.node.name,
        "state": instance.state,
        "cause": instance.cause,
        "mend": instance.mend,
        "progress": instance.progress,
        "memory": instance.memory,
        "processors": instance.processors,
        "active_at": instance.active_at,
        "stops_at": idle.stops_at(instance),
        "url": catalog.url(instance),
    }


# --- projects ------------------------------------------------------------------------------------


@router.post("", response={201: ProjectOut})
def create(request: HttpRequest, data: ProjectIn) -> Status:
    """Create a project of one's own."""
    project = actions.create_project(request.user, **data.dict())
    return Status(201, _one_project(project, request.user))


@router.get("", response=ProjectPage)
def index(request: HttpRequest, search: str = "", owner: str = "", page: int = 1) -> dict[str, Any]:
    """List the projects one may see, those with the latest activity first."""
    rows = access.visible_projects(request.user).prefetch_related(None)  # what pages show of apps
    if owner:
        rows = rows.filter(owner__username=owner)
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(summary__icontains=search))
    count = rows.count()
    pages = max(1, -(-count // PAGE_SIZE))
    page = min(max(1, page), pages)
    shown = list(rows[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    roles = access.roles_of(request.user, shown)
    items = [_project_out(row, roles.get(row.pk)) for row in shown]
    return {"items": items, "page": page, "pages": pages, "count": count}


@router.get("/{owner}/{name}", response=ProjectOut)
def show(request: HttpRequest, owner: str, name: str) -> dict[str, Any]:
    """Show one project."""
    return _one_project(_project(request, owner, name), request.user)


@router.patch("/{owner}/{name}", response=ProjectOut)
def update(request: HttpRequest, owner: str, name: str, data: ProjectPatch) -> dict[str, Any]:
    """Change summary, description or visibility."""
    project = _project(request, owner, name)
    changes = {
        key: value for key, value in data.dict(exclude_unset=True).items() if value is not None
    }
    return _one_project(actions.update_project(project, by=request.user, **changes), request.user)


@router.delete("/{owner}/{name}", response={204: None})
def delete(request: HttpRequest, owner: str, name: str) -> Status:
    """Delete a project with its files; its apps are ended."""
    actions.delete_project(_project(request, owner, name), by=request.user)
    return Status(204, None)


# --- team ----------------------------------------------------------------------------------------


@router.get("/{owner}/{name}/team", response=list[MemberOut])
def team(request: HttpRequest, owner: str, name: str) -> list[dict[str, str]]:
    """List the team: the owner first."""
    members = access.team(_project(request, owner, name))
    return [{"user": user.username, "role": role} for user, role in members]


@router.put("/{owner}/{name}/team/{user}", response=MemberOut)
def set_member(
    request: HttpRequest, owner: str, name: str, user: str, data: MemberIn
) -> dict[str, str]:
    """Add a person to the team or change their role."""
    project = _project(request, owner, name)
    member = actions.set_role(project, user, data.role, by=request.user)
    return {"user": member.username, "role": data.role}


@router.delete("/{owner}/{name}/team/{user}", response={204: None})
def remove_member(request: HttpRequest, owner: str, name: str, user: str) -> Status:
    """Remove a person from the team; their apps here end."""
    actions.remove_member(_project(request, owner, name), user, by=request.user)
    return Status(204, None)


# --- apps ----------------------------------------------------------------------------------------


@router.get("/{owner}/{name}/apps", response=list[OfferOut])
def apps(request: HttpRequest, owner: str, name: str) -> list[dict[str, Any]]:
    """List the apps offered, each with one's own instance."""
    project = _project(request, owner, name)
    return [
        {
            "app": offer.name,
            "title": offer.title,
            "state": offer.instance.state if offer.instance else "stopped",
            "instance": _app_out(offer.instance, offer.name, request.user)
            if offer.instance
            else None,
        }
        for offer in catalog.offers(project, request.user)
    ]


@router.post("/{owner}/{name}/apps/{app}/start", response={202: AppOut})
def start(request: HttpRequest, owner: str, name: str, app: str) -> Status:
    """Start one's own instance; one that is active already is returned as it is."""
    instance = actions.start_app(_project(request, owner, name), app, by=request.user)
    return Status(202, _app_out(instance, app, request.user))


@router.post("/{owner}/{name}/apps/{app}/stop", response={202: AppOut})
def stop(request: HttpRequest, owner: str, name: str, app: str) -> Status:
    """Stop one's own instance; one that is stopped stays so."""
    project = _project(request, owner, name)
    _known(project, app, request.user)
    instance = actions.stop_app(project, app, by=request.user)
    return Status(202, _app_out(instance, app, request.user))


@router.post("/{owner}/{name}/apps/{app}/keep", response=AppOut)
def keep(request: HttpRequest, owner: str, name: str, app: str) -> dict[str, Any]:
    """Have one's own running app count as used now, so that it is not stopped for want of use."""
    project = _project(request, owner, name)
    _known(project, app, request.user)
    return _app_out(actions.keep_app(project, app, by=request.user), app, request.user)


@router.get("/{owner}/{name}/apps/{app}", response=AppOut)
def show_app(request: HttpRequest, owner: str, name: str, app: str) -> dict[str, Any]:
    """Show one's own instance of an app."""
    project = _project(request, owner, name)
    return _app_out(_known(project, app, request.user), app, request.user)


@router.get("/{owner}/{name}/apps/{app}/log", response=Log)
def log(request: HttpRequest, owner: str, name: str, app: str, tail: int = 100) -> dict[str, Any]:
    """Return the last lines of the launch and of the app's own output."""
    instance = _known(_project(request, owner, name), app, request.user)
    return {"lines": instance.log[-max(1, tail) :] if instance else []}


def _known(project: Project, app: str, user: User) -> AppInstance | None:
    """Return the person's newest instance, ``None`` if they had none; 404 for an unknown app."""
    instance = catalog.newest_instances(project, user).get(app)
    if instance is None and not catalog.offers_app(project, app):
        raise Http404
    return instance
