"""Taking turns on one project."""

from django.db.models import F
from django.http import Http404

from ..models import Project


def lock(project: Project) -> None:
    """Let one change of a project happen at a time; ``Http404`` if it was deleted meanwhile.

    What a change depends on is asked once more after this, in the same transaction: others may have
    been faster. An update is a lock that every database has, MongoDB if it changes something.
    """
    if not Project.objects.filter(pk=project.pk).update(turn=F("turn") + 1):
        raise Http404


def read_node(project: Project) -> None:
    try:
        project.refresh_from_db(fields=["node"])
    except Project.DoesNotExist as error:
        raise Http404 from error
