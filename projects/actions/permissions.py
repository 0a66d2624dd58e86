"""Rights that people set by hand on files and folders."""

import re
from hashlib import sha256

from django.utils import timezone

from accounts import audit, turns
from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import User
from accounts.transactions import atomic, retried
from compute_agent.protocol import encode

from .. import access, paths
from ..models import PathOverride, Project
from ..specs import spec
from .locking import lock
from .securing import secure

_ACCESS = re.compile(r"[r-][w-][x-]")
#: Largest project, in bytes, that fits into a command to its node with room to spare.
LARGEST = 900_000


@retried
def set_override(
    project: Project, username: str, path: str, rights: str, *, by: User
) -> PathOverride:
    """Set what a person may do with a file or folder and all that is in it, whatever their role.

    ``rights`` is written as ``ls`` does: ``r-x``, or ``---`` for nothing at all. The person need not
    be in the team. Raises ``Invalid`` naming the field, ``Forbidden`` for a manager's rights.
    """
    path = _path(path, project, by)
    if not _ACCESS.fullmatch(rights):
        raise Invalid(
            "access", "Rights are r or -, w or -, x or -, in this order: r-x for example."
        )
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise Invalid("user", f"There is no user “{username[:40]}”. Choose one from the list.")
    if user.pk == project.owner_id:
        raise Invalid(
            "user", f"{username} owns the project, and an owner’s rights can’t be changed."
        )
    _check(project, user, by)
    with atomic():
        turns.lock(user)
        lock(project)
        _check(project, user, by)
        return _store(project, user, path, rights, by)


def _store(project: Project, user: User, path: str, rights: str, by: User) -> PathOverride:
    row = _row(project, user, path) or PathOverride(
        project=project, user=user, path=path, path_digest=_digest(path)
    )
    if row.access == rights:
        return row
    row.access, row.set_by, row.set_by_name, row.set_at = rights, by, by.username, timezone.now()
    row.save()
    if len(encode(spec(project))) > LARGEST:
        raise Conflict(f"{project} has too much set by hand. Remove some, or set it on folders.")
    audit.record("access.set", str(project), by=by, project=project.pk, path=path,
                 user=user.username, access=rights)  # fmt: skip
    secure(project)
    return row


@retried
def remove_override(project: Project, username: str, path: str, *, by: User) -> str | None:
    """Let the person's role count again; return the rights that were set, or ``None``.

    Removing what is not set changes nothing.
    """
    path = _path(path, project, by)
    user = User.objects.filter(username=username).first()
    if user is None:
        raise Invalid("user", f"There is no user “{username[:40]}”.")
    _check(project, user, by)
    with atomic():
        lock(project)
        _check(project, user, by)
        row = _row(project, user, path)
        if row is None:
            return None
        row.delete()
        audit.record("access.remove", str(project), by=by, project=project.pk, path=path,
                     user=username)  # fmt: skip
        secure(project)
    return row.access


def _check(project: Project, user: User, by: User) -> None:
    """Rights of managers, one's own included, are the owner's matter, as their role is."""
    access.require(by, project, "set_access")
    if not access.may_set_for(by, project, user):
        owner = project.owner.username
        raise Forbidden(f"{user.username} is a manager. Only {owner} sets what managers may do.")


def _path(path: str, project: Project, by: User) -> str:
    access.require(by, project, "set_access")
    path = paths.clean(path)
    if not path:
        raise Invalid("path", "Name a file or folder in the project. What the whole of it allows is "
                              "a role in the team.")  # fmt: skip
    return path


def _row(project: Project, user: User, path: str) -> PathOverride | None:
    rows = PathOverride.objects.select_related("user")
    return rows.filter(project=project, user=user, path_digest=_digest(path)).first()


def _digest(path: str) -> str:
    return sha256(path.encode()).hexdigest()


def drop_overrides(project: Project, user: User) -> bool:
    """Forget what was set by hand for somebody who leaves. Returns whether there was anything."""
    deleted, _ = PathOverride.objects.filter(project=project, user=user).delete()
    return deleted > 0
