"""Telling a project's node that the rights in it changed."""

from django.utils import timezone

from compute_agent.protocol import SecureProject
from datacenters import outbox

from ..models import Project
from ..specs import spec
from .locking import read_node


def secure(project: Project) -> None:
    """Have the node apply the project's permissions as they are now. Within a transaction."""
    now = timezone.now()
    # As exact as every database keeps it: the node compares what it is sent now and what later.
    project.team_changed_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    Project.objects.filter(pk=project.pk).update(team_changed_at=project.team_changed_at)
    read_node(project)  # a first start may just have chosen it
    if project.node is not None:
        outbox.send(project.node, SecureProject(spec(project)))
