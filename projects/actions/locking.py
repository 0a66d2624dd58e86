"""Taking turns on one project."""

from django.db.models import F
from django.http import Http404

from ..models import Project


def lock(project: Project) -> None:
    """Let one change of a project happen at a time; ``Http404`` if it was deleted meanwhile.

    What a change depends on is asked once more after this, in the same transaction: others may have
    been faster. An update that changes nothing is a lock that every database has.
    """
    if not Project.objects.filter(pk=project.pk).update(last_activity=F("last_activity")):
        raise Http404


def read_node(project: Project) -> None:
    try:
        project.refresh_from_db(fields=["node"])
    except Project.DoesNotExist as error:
        raise Http404 from error
