"""Finding people for a team, and showing those who are in it."""

import re
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import Http404
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from accounts import authz
from accounts.authz import Role
from accounts.errors import Conflict, Invalid
from accounts.models import User

from . import access, catalog
from .models import AppInstance, Project

SUGGESTIONS = 6


@dataclass(frozen=True)
class Member:
    """``may_change``: the reader may give this person another role or remove them."""

    user: User
    role: Role
    running: str
    may_change: bool
    roles: list[str]


def members(project: Project, reader: User) -> list[Member]:
    """Return the team as its settings show it."""
    mine = access.role_of(reader, project)
    running = _running(project)
    grantable = [role for role in authz.ACCESS if authz.may_grant(mine, role)]
    return [
        Member(
            user=user,
            role=role,
            running=running.get(user.pk, ""),
            may_change=_may_change(mine, role) and user.pk != reader.pk,
            roles=list(dict.fromkeys([*grantable, role])),
        )
        for user, role in access.team(project)
    ]


def _may_change(mine: Role | None, role: Role) -> bool:
    """Owners change everybody else; managers change editors and viewers."""
    if role == "owner" or not authz.allows(mine, "manage_team"):
        return False
    return mine == "owner" or role != "manager"


def _running(project: Project) -> dict[object, str]:
    titles = catalog.titles(project)
    found: dict[object, list[str]] = {}
    for row in AppInstance.objects.filter(project=project, state="running"):
        found.setdefault(row.user_id, []).append(titles.get(row.app, row.app))
    return {pk: ", ".join(apps) for pk, apps in found.items()}


def last_here(project: Project) -> dict[object, datetime]:
    """Return when each person last started an app here."""
    rows = AppInstance.objects.filter(project=project).order_by("requested_at")
    return dict(rows.values_list("user_id", "requested_at"))


def find(username: str) -> User:
    """Return the active person of that user name; ``Invalid`` with the mend when there is none."""
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise Invalid(
            "user", f"There is no user “{username[:40]}”. Choose one from the list as you type."
        )
    return user


def refuse_again(user: User, project: Project) -> None:
    """Refuse to add somebody twice: their role is changed in the list."""
    role = access.role_of(user, project)
    raise Conflict(
        f"{user.username} is on the team already, as {role}. Change the role below.", "user"
    )


def member(project: Project, username: str) -> User:
    """Return a person of the team, the owner excepted; ``Http404`` for anybody else."""
    found = [
        user for user, role in access.team(project) if user.username == username and role != "owner"
    ]
    if not found:
        raise Http404
    return found[0]


# --- autocomplete --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Option:
    """``name`` and ``full`` have the matched letters bold; ``role`` is set for those in the team."""

    user: User
    name: SafeString
    full: SafeString
    role: Role | None


def suggest(project: Project, typed: str, *, team_first: bool = False) -> list[Option]:
    """Return people whose user name or name contains ``typed``: beginnings first, the team last."""
    match = Q(username__icontains=typed) | Q(first_name__icontains=typed)
    found = list(User.objects.filter(match, is_active=True).order_by("username")[: 3 * SUGGESTIONS])
    roles = {user.pk: role for user, role in access.team(project)}
    found.sort(
        key=lambda u: ((u.pk in roles) != team_first, not u.username.startswith(typed), u.username)
    )
    return [
        Option(u, _bold(u.username, typed), _bold(u.first_name, typed), roles.get(u.pk))
        for u in found[:SUGGESTIONS]
    ]


def _bold(text: str, typed: str) -> SafeString:
    """Return ``text`` escaped, with each place where ``typed`` stands in bold."""
    parts = re.split(f"({re.escape(typed)})", text, flags=re.IGNORECASE)
    marked = [f"<b>{escape(p)}</b>" if i % 2 else escape(p) for i, p in enumerate(parts)]
    return mark_safe("".join(marked))  # noqa: S308  (each part is escaped)
