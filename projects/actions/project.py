"""Creating, changing and deleting projects."""

from django.db import IntegrityError
from guardian.models import GroupObjectPermission, UserObjectPermission

from accounts import audit, names, turns
from accounts.errors import Conflict, Invalid
from accounts.models import User
from accounts.transactions import atomic, retried
from compute_agent.protocol import RemoveProject
from datacenters import outbox, placement, revocation
from datacenters.models import DataCenter

from .. import access
from ..models import Project
from ..specs import spec
from .locking import lock, read_node

SUMMARY_LIMIT = 200
DESCRIPTION_LIMIT = 20_000


@retried
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
            turns.lock(owner)
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


@retried
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


@retried
def delete_project(project: Project, *, by: User) -> None:
    """Delete a project, its running apps and its files on the node."""
    access.require(by, project, "delete")
    with atomic():
        lock(project)
        read_node(project)  # a first start may just have chosen it
        if project.node is not None:
            outbox.send(project.node, RemoveProject(spec(project)))
        audit.record("project.delete", str(project), by=by, project=project.pk)
        revocation.revoke("project", project.pk)
        for model in (UserObjectPermission, GroupObjectPermission):
            model.objects.filter(object_pk=str(project.pk)).delete()
        project.delete()
