"""REST: a project's environments, what is in them, and changes of them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from django.http import Http404, HttpRequest
from ninja import Router, Schema, Status

from compute_agent.protocol import EnvironmentInfo

from . import access, actions, environments
from .models import AppInstance, Project

router = Router()
_HERE = "/{owner}/{name}/environments"
_CHANGES = "/{owner}/{name}/environment-changes"
_SHOWN = 50


class EnvironmentOut(Schema):
    """``default``: apps and notebooks of the project use it unless another is chosen."""

    name: str
    default: bool
    maker: str
    python: str
    r: str
    #: How many there are.
    packages: int
    #: Bytes of all files, and of those it shares with nothing; ``None`` while they are not counted.
    size: int | None
    own: int | None


class PackageOut(Schema):
    name: str
    version: str
    source: str


class EnvironmentWithPackages(EnvironmentOut):
    installed: list[PackageOut]


class EnvironmentIn(Schema):
    """Of ``packages``; or a ``copy_of`` another; or of a ``file`` that an export wrote."""

    name: str
    packages: list[str] = []
    copy_of: str = ""
    file: str = ""
    maker: Literal["", "uv", "conda"] = ""
    python: str = ""


class PackagesIn(Schema):
    packages: list[str]
    #: From PyPI, also where conda packages made the environment.
    pip: bool = False


class Export(Schema):
    text: str


class ChangeOut(Schema):
    """``result``: ``done``, ``cancelled`` or ``failed``; ``None`` while it is under way."""

    id: str
    action: str
    environment: str
    packages: list[str]
    user: str
    state: str
    result: str | None
    cause: str
    mend: str
    at: datetime
    ended_at: datetime | None
    url: str


class ChangeWithLog(ChangeOut):
    log: list[str]


def _project(request: HttpRequest, owner: str, name: str) -> Project:
    return access.get_project(request.user, owner, name)


def _environment(one: EnvironmentInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "default": one.name == environments.DEFAULT,
        "maker": one.maker,
        "python": one.python,
        "r": one.r,
        "packages": one.packages,
        "size": one.size,
        "own": one.own,
    }


def _change(row: AppInstance) -> dict[str, Any]:
    asked = row.change or {}
    return {
        "id": str(row.pk),
        "action": asked.get("action", ""),
        "environment": asked.get("name", ""),
        "packages": asked.get("packages", []),
        "user": row.user.username,
        "state": row.state,
        "result": environments.result(row),
        "cause": row.cause,
        "mend": row.mend,
        "at": row.requested_at,
        "ended_at": row.ended_at,
        "url": f"/api/v1/projects{row.project.get_absolute_url()}/environment-changes/{row.pk}",
    }


# --- what there is -------------------------------------------------------------------------------


@router.get(_HERE, response=list[EnvironmentOut])
def index(request: HttpRequest, owner: str, name: str) -> list[dict[str, Any]]:
    """List the environments: the node looks now.

    409 before the first start, 503 when the node is away, 504 when it says nothing.
    """
    found = environments.find(_project(request, owner, name), by=request.user)
    return [_environment(one) for one in found.environments]


@router.post(_HERE, response={202: ChangeOut})
def create(request: HttpRequest, owner: str, name: str, data: EnvironmentIn) -> Status:
    """Make an environment. The answer is the change, which goes on; 409 while another does."""
    project, by = _project(request, owner, name), request.user
    if data.copy_of:
        row = actions.clone_environment(project, data.copy_of, data.name, by=by)
    else:
        row = actions.create_environment(
            project, data.name, data.packages, by=by,
            file=data.file, maker=data.maker, python=data.python,
        )  # fmt: skip
    return Status(202, _change(row))


@router.get(_HERE + "/{environment}", response=EnvironmentWithPackages)
def show(request: HttpRequest, owner: str, name: str, environment: str) -> dict[str, Any]:
    """Show one environment with all its packages; 404 where there is none of that name."""
    found = environments.find(_project(request, owner, name), by=request.user, name=environment)
    one = next((one for one in found.environments if one.name == environment), None)
    if one is None:
        raise Http404
    return _environment(one) | {"installed": found.packages}


@router.delete(_HERE + "/{environment}", response={202: ChangeOut})
def delete(request: HttpRequest, owner: str, name: str, environment: str) -> Status:
    """Delete an environment. A deleted ``default`` is made anew by the next app that starts."""
    project = _project(request, owner, name)
    return Status(202, _change(actions.delete_environment(project, environment, by=request.user)))


@router.get(_HERE + "/{environment}/export", response=Export)
def export(request: HttpRequest, owner: str, name: str, environment: str) -> dict[str, str]:
    """Return a text from which the same is made again, ``file`` of a new environment; else 404."""
    project = _project(request, owner, name)
    found = environments.find(project, by=request.user, name=environment, export=True)
    return {"text": found.export}


@router.post(_HERE + "/{environment}/install", response={202: ChangeOut})
def install(
    request: HttpRequest, owner: str, name: str, environment: str, data: PackagesIn
) -> Status:
    """Install or update packages."""
    project = _project(request, owner, name)
    row = actions.install_packages(
        project, environment, data.packages, by=request.user, pip=data.pip
    )
    return Status(202, _change(row))


@router.post(_HERE + "/{environment}/remove", response={202: ChangeOut})
def remove(
    request: HttpRequest, owner: str, name: str, environment: str, data: PackagesIn
) -> Status:
    """Remove packages."""
    project = _project(request, owner, name)
    row = actions.remove_packages(
        project, environment, data.packages, by=request.user, pip=data.pip
    )
    return Status(202, _change(row))


# --- changes -------------------------------------------------------------------------------------


@router.get(_CHANGES, response=list[ChangeOut])
def changes(request: HttpRequest, owner: str, name: str) -> list[dict[str, Any]]:
    """List the last changes, the newest first."""
    project = _seen(request, owner, name)
    return [_change(row) for row in actions.changes(project)[:_SHOWN]]


@router.get(_CHANGES + "/{change}", response=ChangeWithLog)
def follow(request: HttpRequest, owner: str, name: str, change: UUID) -> dict[str, Any]:
    """Show one change with its last lines. It is over once it has a ``result``."""
    row = actions.change(_seen(request, owner, name), change)
    return _change(row) | {"log": row.log}


@router.post(_CHANGES + "/{change}/cancel", response={202: ChangeOut})
def cancel(request: HttpRequest, owner: str, name: str, change: UUID) -> Status:
    """Cancel a change; the environments stay as they were. One that is over stays as it is."""
    row = actions.cancel_change(_project(request, owner, name), change, by=request.user)
    return Status(202, _change(row))


def _seen(request: HttpRequest, owner: str, name: str) -> Project:
    project = _project(request, owner, name)
    access.require(request.user, project, "see_environments")
    return project
