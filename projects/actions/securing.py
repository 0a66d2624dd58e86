"""Telling a project's node that the rights in it changed."""

from django.utils import timezone

from compute_agent.protocol import SecureProject
from datacenters import outbox

from ..models import Project
from ..specs import spec
from .locking import read_node


def secure(project: Project) -> None:
    """Have the node apply the project's permissions as they are now. Within a transaction."""
    project.team_changed_at = timezone.now()
    Project.objects.filter(pk=project.pk).update(team_changed_at=project.team_changed_at)
    read_node(project)  # a first start may just have chosen it
    if project.node is not None:
        outbox.send(project.node, SecureProject(spec(project)))
