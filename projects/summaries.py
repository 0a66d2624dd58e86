"""Projects as lists show them: one row each, with state, team, last event and a quick action."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from accounts import authz
from accounts.models import User
from compute_agent.protocol import ENVIRONMENTS_APP

from . import access, catalog, history, lifecycle
from .history import Event
from .models import AppInstance, Project
from .workspace import STARTING, Tile

FACES = 3


@dataclass(frozen=True)
class Summary:
    """``state``: starting, failed, running or stopped, as it concerns the reader."""

    project: Project
    state: str
    people: list[User]
    more: int
    last: Event | None
    quick: Tile | None
    may_start: bool


def summaries(projects: Iterable[Project], user: User) -> list[Summary]:
    """Return a row for each project."""
    projects = list(projects)
    instances = _instances(projects, user)
    last = history.newest(projects)
    teams = access.teams(projects)
    return [
        _summary(project, user, instances.get(project.pk, []), teams[project.pk], last)
        for project in projects
    ]


def _instances(projects: list[Project], user: User) -> dict[UUID, list[AppInstance]]:
    """Return the runs that say something of each project's state, newest first."""
    rows = AppInstance.objects.filter(project__in=projects).exclude(app=ENVIRONMENTS_APP)
    rows = rows.select_related("node")
    active = rows.filter(state__in=list(lifecycle.ACTIVE))
    mine = (
        rows.filter(user=user).exclude(state__in=list(lifecycle.ACTIVE)).order_by("-requested_at")
    )
    found: dict[UUID, list[AppInstance]] = {}
    known = {project.pk: project for project in projects}
    for row in [*active, *mine[: 20 * len(projects)]]:
        row.project = known[row.project_id]
        found.setdefault(row.project_id, []).append(row)
    return found


def _summary(
    project: Project,
    user: User,
    instances: list[AppInstance],
    team: access.Team,
    last: dict[UUID, Event],
) -> Summary:
    mine = sorted(
        (row for row in instances if row.user_id == user.pk),
        key=lambda r: r.requested_at,
        reverse=True,
    )
    people = [person for person, _ in team]
    may_start = authz.allows(dict(team).get(user), "start")
    return Summary(
        project=project,
        state=_state(instances, mine),
        people=people[:FACES],
        more=max(0, len(people) - FACES),
        last=last.get(project.pk),
        quick=_quick(project, mine) if may_start else None,
        may_start=may_start,
    )


def _state(instances: list[AppInstance], mine: list[AppInstance]) -> str:
    if any(row.state in STARTING for row in mine):
        return "starting"
    if _failed(mine):
        return "failed"
    return "running" if any(row.is_active for row in instances) else "stopped"


def _failed(mine: list[AppInstance]) -> AppInstance | None:
    return next((row for row in mine if row.state == "failed" and not row.dismissed), None)


def _quick(project: Project, mine: list[AppInstance]) -> Tile | None:
    """Return the app that the row opens: what fails or runs, else what was used last."""
    offers = {offer["name"]: offer for offer in catalog.of_project(project)}
    urgent = (
        [row for row in mine if row.is_active] or [row for row in [_failed(mine)] if row] or mine
    )
    row = next((row for row in urgent if row.app in offers), None)
    offer = offers.get(row.app) if row else offers.get("lab") or next(iter(offers.values()), None)
    if offer is None:
        return None
    url = catalog.url(row) if row else None
    return Tile(offer["name"], offer["title"], offer["icon"], row, url)
