"""What becomes of projects when a person is removed from the site, locked out or let in again."""

from uuid import UUID

from django.db.models import QuerySet
from django.dispatch import receiver

from accounts.errors import Conflict
from accounts.models import User
from accounts.signals import leaving, locked

from . import access, actions, lifecycle
from .models import AppInstance, PathOverride, Project


@receiver(leaving)
def _leaves(sender: object, user: User, **kwargs: object) -> None:
    """Refuse while the person owns projects or runs apps; else take them out of all teams."""
    owned = Project.objects.filter(owner=user)
    if count := owned.count():
        them = "1 project" if count == 1 else f"{count} projects"
        raise Conflict(f"{user} owns {them}, for example {owned[0]}. Delete what they own first.")
    runs = AppInstance.objects.filter(user=user)
    if running := runs.filter(state__in=list(lifecycle.ACTIVE)).first():
        raise Conflict(f"{running.app} of {user} still runs in {running.project}. Stop it first.")
    runs.delete()
    for project in _known_in(user):
        actions.drop_from_team(project, user)


@receiver(locked)
def _locked(sender: object, user: User, **kwargs: object) -> None:
    """Tell the nodes: what was set by hand for people outside a team counts while they may enter."""
    for project in Project.objects.filter(pk__in=_override_ids(user)).exclude(owner=user):
        actions.secure(project)


def _known_in(user: User) -> QuerySet[Project]:
    """Return the projects in which the person is in the team or has rights set by hand."""
    ids = {*access.shared_ids(user), *_override_ids(user)}
    return Project.objects.filter(pk__in=ids).select_related("owner")


def _override_ids(user: User) -> list[UUID]:
    return list(PathOverride.objects.filter(user=user).values_list("project_id", flat=True))
