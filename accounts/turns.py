"""Taking turns on people, so that what is true of somebody is so until it is written what hangs on it.

Two transactions that each read what the other one writes would both go ahead on PostgreSQL and MongoDB:
the last two administrators lock each other, or somebody is removed while they make a project.
"""

from collections.abc import Iterable
from uuid import UUID

from django.db.models import F
from django.http import Http404

from .models import User


def lock(user: User, *, beside: Iterable[UUID] = ()) -> None:
    """Let one change that hangs on this person happen at a time; ``Http404`` if they were removed.

    ``beside``: on those others, too, as far as they are there. Within a transaction, and before a
    project is locked: whoever has one never waits for a person, nor any two for each other.
    """
    there = {key for key in sorted({user.pk, *beside}) if _lock(key)}
    if user.pk not in there:
        raise Http404


def _lock(key: UUID) -> bool:
    # An update is a lock that every database has, MongoDB if it changes something.
    return User.objects.filter(pk=key).update(turn=F("turn") + 1) > 0
