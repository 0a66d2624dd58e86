"""Changing a project's environments: one change at a time, on its node, as the person who asks."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from django.http import Http404
from django.utils import timezone

from accounts import audit, turns
from accounts.errors import Conflict, Invalid
from accounts.models import User
from accounts.transactions import atomic, retried
from compute_agent.protocol import ENVIRONMENTS_APP, EnvironmentChange
from datacenters.wake import wake

from .. import access, events, inventory
from ..models import AppInstance, Project
from .apps import ask_to_stop, node_for
from .locking import lock

#: What one change may name, and how long a file of packages may be.
MOST_PACKAGES, LONGEST_PACKAGE, LONGEST_FILE = 100, 200, 200_000
_AUDITED = 20
_PYTHON = re.compile(r"[0-9]+(\.[0-9]+){0,2}")
#: Before the host of an address: a password, or a token in the place of a name. SSH asks for a name.
_CREDENTIALS = re.compile(r"(?<!ssh)://[^/\s]*@|://[^/\s:@]*:[^/\s@]*@")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEPT_OUT = "An address of a package must hold no password: it would be kept here."
_RULE = "Use up to 64 letters, digits, hyphens and underscores."


def create_environment(
    project: Project, name: str, packages: Sequence[str] = (), *, by: User,
    file: str = "", maker: str = "", python: str = "",
) -> AppInstance:  # fmt: skip
    """Make the environment ``name`` of packages, or of what an export wrote (``file``)."""
    if len(file) > LONGEST_FILE or "\0" in file:
        raise Invalid("file", f"A list of packages has up to {LONGEST_FILE:,} characters.")
    if _CREDENTIALS.search(file):
        raise Invalid("file", _KEPT_OUT)
    if maker not in ("", "uv", "conda"):
        raise Invalid("maker", "The maker is uv or conda, or none for the node’s usual one.")
    if python and not _PYTHON.fullmatch(python):
        raise Invalid("python", "Give a version of Python as 3.12.")
    wish = {"packages": _packages(packages), "file": file, "maker": maker, "python": python}
    return _begin(project, by, "create", name, **wish)


def clone_environment(project: Project, source: str, name: str, *, by: User) -> AppInstance:
    """Copy the environment ``source`` to ``name``."""
    return _begin(project, by, "clone", name, source=_name("source", source))


def install_packages(
    project: Project, name: str, packages: Sequence[str], *, by: User, pip: bool = False
) -> AppInstance:
    """Install or update packages; ``pip``: from PyPI, also where conda made the environment."""
    return _begin(project, by, "install", name, packages=_some(packages), pip=pip)


def remove_packages(
    project: Project, name: str, packages: Sequence[str], *, by: User, pip: bool = False
) -> AppInstance:
    return _begin(project, by, "remove", name, packages=_some(packages), pip=pip)


def delete_environment(project: Project, name: str, *, by: User) -> AppInstance:
    return _begin(project, by, "delete", name)


def cancel_change(project: Project, pk: UUID, *, by: User) -> AppInstance:
    """Cancel a change: one's own, or anybody's where one may; the environments stay as they were."""
    row = change(project, pk)
    if row.user_id != by.pk:
        access.require(by, project, "stop_any")
    else:
        access.require(by, project, "change_environments")
    ask_to_stop(row, by=by)
    return row


@retried
def dismiss_change(project: Project, pk: UUID, *, by: User) -> None:
    """Take a failed change off the page: its cause was read."""
    access.require(by, project, "change_environments")
    row = change(project, pk)
    if row.state == "failed":
        with atomic():
            events.apply(row, "reset", by=by, dismissed=True)


def change(project: Project, pk: UUID) -> AppInstance:
    """Return a change of the project's environments; ``Http404`` where there is no such one."""
    row = changes(project).filter(pk=pk).first()
    if row is None:
        raise Http404
    return row


def changes(project: Project) -> "AppInstance.objects":
    """Return the changes of a project's environments, the newest first."""
    rows = AppInstance.objects.filter(project=project, app=ENVIRONMENTS_APP)
    return rows.select_related("project__owner", "user", "node").order_by("-requested_at")


# --- parts ---------------------------------------------------------------------------------------


@retried
def _begin(project: Project, by: User, action: str, name: str, **what: Any) -> AppInstance:
    access.require(by, project, "change_environments")
    wanted = EnvironmentChange(action, _name("name", name), **what)
    _none_under_way(project)
    node = node_for(project)
    with atomic():
        turns.lock(by)
        lock(project)
        access.require(by, project, "change_environments")  # the team may have changed meanwhile
        _none_under_way(project)
        row = AppInstance.objects.create(
            project=project, user=by, app=ENVIRONMENTS_APP, node=node,
            slot=AppInstance.slot_of_change(project), change=msgspec.to_builtins(wanted),
        )  # fmt: skip
        audit.record(f"environment.{action}", str(project), by=by, project=project.pk,
                     name=name, **_audited(wanted))  # fmt: skip
        Project.objects.filter(pk=project.pk).update(last_activity=timezone.now())
        wake()
    return row


def _none_under_way(project: Project) -> None:
    other = changes(project).filter(slot=AppInstance.slot_of_change(project)).first()
    if other is not None:
        raise Conflict(
            f"{other.user.username} is changing the environment {other.change['name']} of this "
            "project. Wait until that is done, or cancel it."
        )


def _audited(wanted: EnvironmentChange) -> dict[str, Any]:
    found: dict[str, Any] = {"source": wanted.source} if wanted.source else {}
    if wanted.packages:
        found["packages"] = list(wanted.packages[:_AUDITED])
    return found


def _name(field: str, name: str) -> str:
    if not inventory.is_name(name):
        raise Invalid(field, f"{name[:40]!r} is no name of an environment. {_RULE}")
    return name


def _some(packages: Sequence[str]) -> tuple[str, ...]:
    found = _packages(packages)
    if not found:
        raise Invalid("packages", "Name a package, for example pandas.")
    return found


def _packages(packages: Sequence[str]) -> tuple[str, ...]:
    found = tuple(filter(None, (package.strip() for package in packages)))
    if len(found) > MOST_PACKAGES:
        raise Invalid("packages", f"Name up to {MOST_PACKAGES} packages at once.")
    for package in found:
        _check_package(package)
    return found


def _check_package(package: str) -> None:
    shown = package[:40]
    if package.startswith("-") or _CONTROL.search(package) or len(package) > LONGEST_PACKAGE:
        raise Invalid("packages", f"“{shown}” is no package. Write a name, or a name and a version: "
                      "pandas==2.2")  # fmt: skip
    if _CREDENTIALS.search(package):
        raise Invalid("packages", _KEPT_OUT)
