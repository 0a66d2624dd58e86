"""A project as its node needs to know it."""

from accounts import authz
from compute_agent.protocol import Member, ProjectSpec

from .access import team
from .models import Project


def spec(project: Project) -> ProjectSpec:
    """Return the project's directory, owner's account and the entries its ACL must have."""
    members = tuple(
        Member(user.unix_account, authz.ACCESS[role])
        for user, role in team(project)
        if role != "owner"
    )
    return ProjectSpec(
        owner=project.owner.username,
        name=project.name,
        owner_account=project.owner.unix_account,
        members=members,
        revision=_revision(project),
    )


def _revision(project: Project) -> int:
    """Return a number that grows with each change of what the node has to apply."""
    changed = project.team_changed_at or project.created_at
    return int(changed.timestamp() * 1_000_000)
