"""A change of environments as the page shows it: what is done, how far it came, what came of it."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts.models import User

from . import access, actions, environments
from .models import AppInstance, Project
from .plain import plain
from .workspace import LABELS, Line, log_lines

#: How long a change that was made is still shown.
SHOWN = timedelta(minutes=10)
_DOING = {
    "create": "Making {name}",
    "clone": "Copying {source} to {name}",
    "install": "Installing {packages} in {name}",
    "remove": "Removing {packages} from {name}",
    "delete": "Deleting {name}",
}
_DONE = {
    "create": "Made {name}",
    "clone": "Copied {source} to {name}",
    "install": "Installed {packages} in {name}",
    "remove": "Removed {packages} from {name}",
    "delete": "Deleted {name}",
}
#: So many packages are named, the others counted.
_NAMED = 3


@dataclass(frozen=True)
class Change:
    """``result``: ``done``, ``cancelled``, ``failed``, or ``None`` while it is under way."""

    row: AppInstance
    title: str
    result: str | None
    lines: list[Line]
    step: str
    may_cancel: bool

    @property
    def seen(self) -> str:
        return f"{self.row.pk.hex}-{self.row.state}-{self.row.revision}"

    @property
    def say(self) -> str:
        """The one sentence for the live region."""
        words = {
            "done": "is done",
            "cancelled": "was cancelled",
            "failed": "failed",
            None: self.step,
        }
        return f"{self.title}: {words[self.result]}"

    @property
    def elapsed(self) -> float:
        return max(0.0, (timezone.now() - self.row.requested_at).total_seconds())


def look(project: Project, user: User) -> Change | None:
    """Return the project's change that is under way, or the last one while it is news."""
    row = actions.changes(project).first()
    if row is None or row.dismissed or (row.ended_at and timezone.now() - row.ended_at > SHOWN):
        return None
    result = environments.result(row)
    may = "change_environments" if row.user_id == user.pk else "stop_any"
    return Change(
        row=row,
        title=_title(row, result),
        result=result,
        lines=log_lines(row),
        step=_step(row),
        may_cancel=row.is_active and row.state != "stopping" and access.may(user, project, may),
    )


def _title(row: AppInstance, result: str | None) -> str:
    asked = row.change or {}
    words = (_DONE if result == "done" else _DOING).get(asked.get("action", ""), "Changing {name}")
    packages = [plain(str(package)) for package in asked.get("packages", [])]
    named = ", ".join(packages[:_NAMED])
    if len(packages) > _NAMED:
        named += f" and {len(packages) - _NAMED} more"
    values = {"name": asked.get("name", ""), "source": asked.get("source", ""), "packages": named}
    return words.format(**values)


def _step(row: AppInstance) -> str:
    if row.state == "requested":
        return f"waiting for {row.node.name}"
    if row.state == "stopping":
        return "cancelling"
    if row.state == "running":
        return "at work"
    step = row.progress[-1]["step"] if row.progress else ""
    return LABELS.get(step, "starting").lower()
