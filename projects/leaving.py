"""What has to be in order in projects before a person is removed, and what is cleared up then."""

from django.dispatch import receiver

from accounts.errors import Conflict
from accounts.models import User
from accounts.signals import leaving

from . import access, actions, lifecycle
from .models import AppInstance, Project


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
    for project in Project.objects.filter(pk__in=access.shared_ids(user)):
        actions.drop_from_team(project, user)
