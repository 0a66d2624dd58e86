"""REST: what somebody may do with a path and why, and the rights that are set by hand."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status

from . import access, actions, questions
from .models import PathOverride

router = Router()
_PERMISSIONS = "/{owner}/{name}/permissions"


class Look(Schema):
    path: str
    entry: str
    rights: str
    effective: str


class OverrideOut(Schema):
    path: str
    user: str
    access: str
    set_by: str
    set_at: datetime


class ExplanationOut(Schema):
    """``kind``: file, directory, other, missing. ``override``: set by hand on the path, or nearest."""

    user: str
    account: str
    role: str | None
    path: str
    kind: str
    access: str
    looks: list[Look]
    cause: str
    mend: str
    override: OverrideOut | None


class OverrideIn(Schema):
    path: str
    user: str
    access: str


def _override_out(row: PathOverride) -> dict[str, Any]:
    return {
        "path": row.path,
        "user": row.user.username,
        "access": row.access,
        "set_by": row.set_by_name,
        "set_at": row.set_at,
    }


@router.get(_PERMISSIONS, response=ExplanationOut)
def explain(
    request: HttpRequest, owner: str, name: str, path: str = "", user: str = ""
) -> dict[str, Any]:
    """Say what somebody (by default oneself) may do with a path, and why: the node looks now.

    Without a path it is about the project's folder. 409 before the first start, 503 when the node is
    away, 504 when it says nothing.
    """
    project = access.get_project(request.user, owner, name)
    answer = questions.ask(project, path, by=request.user, username=user)
    said = answer.said
    return {
        "user": answer.user.username,
        "account": answer.user.unix_account,
        "role": answer.role,
        "path": answer.path,
        "kind": said.kind,
        "access": said.access,
        "looks": said.looks,
        "cause": said.cause,
        "mend": said.mend,
        "override": _override_out(answer.override) if answer.override else None,
    }


@router.get(f"{_PERMISSIONS}/overrides", response=list[OverrideOut])
def overrides(request: HttpRequest, owner: str, name: str) -> list[dict[str, Any]]:
    """List the rights that are set by hand, by path."""
    project = access.get_project(request.user, owner, name)
    access.require(request.user, project, "see_access")
    return [_override_out(row) for row in project.overrides.select_related("user")]


@router.put(f"{_PERMISSIONS}/overrides", response=OverrideOut)
def set_override(request: HttpRequest, owner: str, name: str, data: OverrideIn) -> dict[str, Any]:
    """Set what somebody may do with a file or folder and all that is in it: ``r-x``, ``---`` …"""
    project = access.get_project(request.user, owner, name)
    row = actions.set_override(project, data.user, data.path, data.access, by=request.user)
    return _override_out(row)


@router.delete(f"{_PERMISSIONS}/overrides", response={204: None})
def remove_override(request: HttpRequest, owner: str, name: str, path: str, user: str) -> Status:
    """Let the person's role count again."""
    project = access.get_project(request.user, owner, name)
    actions.remove_override(project, user, path, by=request.user)
    return Status(204, None)
