"""What was done in projects, as sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import AuditEntry, User

from . import catalog
from .models import Project
from .paths import shown
from .rights import in_words

#: For each verb: what stands before the bold object, the object's key in ``detail``, what follows.
_SENTENCES: dict[str, tuple[str, str, str]] = {
    "project.create": ("created", "", "the project"),
    "app.start": ("is starting", "app", ""),
    "app.ready": ("opened", "app", ""),
    "app.stop": ("stopped", "app", ""),
    "app.idle": ("stopped", "app", "without activity"),
    "app.reset": ("reset", "app", ""),
    "app.end": ("", "app", "has ended"),
    "app.fail": ("", "app", "failed"),
    "environment.create": ("is making the environment", "name", ""),
    "environment.clone": ("is copying an environment to", "name", ""),
    "environment.install": ("is installing packages in the environment", "name", ""),
    "environment.remove": ("is removing packages from the environment", "name", ""),
    "environment.delete": ("is deleting the environment", "name", ""),
    "environment.fail": ("could not change the environment", "name", ""),
    "environment.cancel": ("did not change the environment", "name", ""),
    "team.remove": ("removed", "user", "from the team"),
}
#: The same for a change of environments that was made, by its action.
_DONE = {
    "create": "made the environment",
    "clone": "made, as a copy, the environment",
    "install": "installed packages in the environment",
    "remove": "removed packages from the environment",
    "delete": "deleted the environment",
}
#: The same for what is set on files by hand: before and after the path.
_BY_HAND = {
    "access.set": ("set", "to {1} for {0}"),
    "access.remove": ("cleared what was set on", "for {0}"),
}
#: An end repeats what "stopped" said, and a start is news only until something came of it.
_QUIET = "app.end"
_BEGUN = ["app.start", *(f"environment.{action}" for action in _DONE)]
_STARTING = timedelta(minutes=2)


@dataclass(frozen=True)
class Event:
    """``{who} {before} **{what}** {after}``."""

    who: str
    before: str
    what: str
    after: str
    at: datetime
    project_id: UUID | None
    target: str

    @property
    def joint(self) -> str:
        """What stands between the sentence and the project's name."""
        return "" if self.after == "the project" else "in"


def of_project(project: Project, limit: int = 50, offset: int = 0) -> list[Event]:
    """Return what was done in a project, newest first."""
    rows = _news(AuditEntry.objects.filter(project_id=project.pk))
    titles = {project.pk: _titles(project)}
    return [_event(row, titles) for row in rows.order_by("-at")[offset : offset + limit]]


def newest(projects: Iterable[Project]) -> dict[UUID, Event]:
    """Return the newest event of each project."""
    projects = list(projects)
    titles = {project.pk: _titles(project) for project in projects}
    found: dict[UUID, Event] = {}
    rows = _news(AuditEntry.objects.filter(project_id__in=list(titles)))
    for row in rows.order_by("-at")[: 40 * len(titles)]:
        if row.project_id not in found:
            found[row.project_id] = _event(row, titles)
    return found


def since(projects: Iterable[Project], at: datetime, user: User, limit: int = 8) -> list[Event]:
    """Return what others did in these projects after ``at``, newest first."""
    titles = {project.pk: _titles(project) for project in projects}
    rows = AuditEntry.objects.filter(project_id__in=list(titles), at__gt=at)
    rows = _news(rows).exclude(actor=user)
    return [_event(row, titles) for row in rows.order_by("-at")[:limit]]


def count(project: Project) -> int:
    return _news(AuditEntry.objects.filter(project_id=project.pk)).count()


def _news(rows: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
    stale = timezone.now() - _STARTING
    return rows.exclude(verb=_QUIET).exclude(verb__in=_BEGUN, at__lt=stale)


def _titles(project: Project) -> dict[str, str]:
    return catalog.titles(project)


def _event(row: AuditEntry, titles: dict[UUID | None, dict[str, str]]) -> Event:
    before, what, after = _sentence(row, titles.get(row.project_id, {}))
    return Event(row.actor_name, before, what, after, row.at, row.project_id, row.target)


def _sentence(row: AuditEntry, titles: dict[str, str]) -> tuple[str, str, str]:
    detail = row.detail
    if row.verb in _BY_HAND:
        before, after = _BY_HAND[row.verb]
        rights = in_words(str(detail.get("access", "")))
        return (
            before,
            shown(str(detail.get("path", "")))[:80],
            after.format(detail.get("user", ""), rights),
        )
    if row.verb == "environment.done":
        return _DONE.get(str(detail.get("action")), "changed"), str(detail.get("name", "")), ""
    if row.verb == "team.set":
        return "made", str(detail.get("user", "")), f"a team {detail.get('role', 'member')}"
    if row.verb == "project.update":
        return _update(detail)
    before, key, after = _SENTENCES.get(row.verb, (row.verb.replace(".", " "), "", ""))
    what = str(detail.get(key, ""))
    return before, titles.get(what, what) if key == "app" else what, after


def _update(detail: dict[str, object]) -> tuple[str, str, str]:
    if "visibility" in detail:
        return "made the project", str(detail["visibility"]), ""
    fields = [str(field) for field in detail.get("fields", [])]
    return "changed the", " and ".join(fields) or "project", ""
