"""A project as its node needs to know it."""

from accounts import authz
from compute_agent.protocol import Member, Override, ProjectSpec

from .access import Team, team
from .models import Project


def spec(project: Project) -> ProjectSpec:
    """Return the project's directory, owner's account and the entries its ACLs must have."""
    people = team(project)
    members = tuple(
        Member(user.unix_account, authz.ACCESS[role]) for user, role in people if role != "owner"
    )
    return ProjectSpec(
        owner=project.owner.username,
        name=project.name,
        owner_account=project.owner.unix_account,
        members=members,
        overrides=_overrides(project, people),
        revision=_revision(project),
    )


def _overrides(project: Project, people: Team) -> tuple[Override, ...]:
    """Return what was set by hand, in the order of the paths.

    Nobody who is locked out gets something extra; who is in the team stays restricted, too.
    """
    team_ids = {user.pk for user, _ in people}
    rows = project.overrides.select_related("user").exclude(user=project.owner_id)
    return tuple(
        Override(row.pk.hex, row.path, row.user.unix_account, row.access)
        for row in rows
        if row.user.is_active or row.user_id in team_ids
    )


def _revision(project: Project) -> int:
    """Return a number that grows with each change of what the node has to apply."""
    changed = project.team_changed_at or project.created_at
    return int(changed.timestamp() * 1_000_000)
