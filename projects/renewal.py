"""Commands that waited for their node, as they have to be by now.

A command may wait for hours and be sent twice. What was true when it was written may have changed.
"""

from compute_agent.protocol import Command, ProjectSpec, RemoveProject, SecureProject
from datacenters.models import Node

from .models import AppInstance, Project
from .specs import spec


def renew(node: Node, command: Command) -> Command | None:
    """Return the command with what is true now, or ``None`` when it must not be carried out."""
    match command:
        case SecureProject(old):
            project = _now(node, old)
            # An older list of members would let somebody in again who was removed.
            return SecureProject(spec(project)) if project else None
        case RemoveProject(old):
            project = _now(node, old)
            # A new project of that name that has files by now: these are not to be removed.
            return None if project and _has_begun(project) else command
    return command


def _now(node: Node, old: ProjectSpec) -> Project | None:
    rows = Project.objects.filter(owner__username=old.owner, name=old.name, node=node)
    return rows.select_related("owner").first()


def _has_begun(project: Project) -> bool:
    """Say whether a launch was sent: before the first one there is no directory."""
    waiting = {"state": "requested", "commanded_at": None}
    return AppInstance.objects.filter(project=project).exclude(**waiting).exists()
