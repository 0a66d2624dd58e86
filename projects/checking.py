"""What the server knows of one project and its permissions, and what its node finds: ``aen_check``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from accounts import authz
from accounts.errors import ActionError
from compute_agent.protocol import SecureProject, decode_command
from datacenters.models import NodeCommand

from . import access, questions
from .explaining import Told, tell
from .models import Project
from .paths import shown
from .questions import Finding


@dataclass
class Checked:
    """``answer`` and ``told`` are there if the node answered; ``problems``: what is wrong, and mend."""

    project: Project
    person: str
    path: str
    change: tuple[datetime, datetime | None] | None
    answer: Finding | None = None
    told: Told | None = None
    problems: list[tuple[str, str]] = field(default_factory=list)


def check(project: Project, username: str, path: str) -> Checked:
    """Look at a project and ask its node about a person (by default the owner) and a path.

    Raises ``Invalid`` for a person or path that cannot be asked about.
    """
    person = username or project.owner.username
    found = Checked(project, person, path, _last_change(project))
    found.problems += _of_the_server(found)
    if project.node is None:
        return found
    try:
        found.answer = questions.ask(project, path, by=None, username=person)
    except ActionError as refusal:
        if refusal.field:
            raise
        if project.node.is_up:  # else it is said already
            found.problems.append((refusal.detail, "Look into gateway.log and compute.log."))
        return found
    found.told = tell(found.answer)
    if found.told.off:
        found.problems.append((found.told.cause, found.told.mend))
    return found


def _of_the_server(found: Checked) -> Iterator[tuple[str, str]]:
    node = found.project.node
    if node is not None and not node.is_up:
        yield (
            f"{node} can’t be reached. {node.cause}".strip(),
            "Look into gateway.log, and into compute.log on that node.",
        )
    if found.change and found.change[1] is None:
        yield (
            f"A change of {found.change[0]:%Y-%m-%d %H:%M:%S %Z} has not been handed to {node} yet.",
            "It goes there within a second once gateway and node are connected.",
        )


def _last_change(project: Project) -> tuple[datetime, datetime | None] | None:
    """Return when the rights last changed and when that was handed to the node, if it was.

    What was handed over over a day ago is forgotten: then the change's own time stands for it.
    """
    changed = project.team_changed_at
    if changed is None or project.node is None:
        return None
    for row in NodeCommand.objects.filter(node=project.node).order_by("-created_at"):
        if _is_about(project, row):
            return changed, row.sent_at
    return changed, changed


def _is_about(project: Project, row: NodeCommand) -> bool:
    command = decode_command(row.body.encode())
    if not isinstance(command, SecureProject):
        return False
    return (command.project.owner, command.project.name) == (project.owner.username, project.name)


# --- telling -------------------------------------------------------------------------------------


def as_json(found: Checked) -> dict[str, Any]:
    """Return it as ``--json`` prints it."""
    project, said = found.project, found.answer.said if found.answer else None
    return {
        "project": str(project),
        "node": project.node.name if project.node else None,
        "node_up": bool(project.node and project.node.is_up),
        "team": [
            {"user": user.username, "account": user.unix_account, "role": role,
             "access": authz.ACCESS.get(role, "rwx"), "locked": not user.is_active}
            for user, role in access.team(project)
        ],
        "overrides": [
            {"path": row.path, "user": row.user.username, "access": row.access,
             "set_by": row.set_by_name, "set_at": row.set_at.isoformat()}
            for row in project.overrides.select_related("user")
        ],
        "changed_at": found.change[0].isoformat() if found.change else None,
        "handed_over_at": found.change[1].isoformat() if found.change and found.change[1] else None,
        "user": found.person,
        "path": found.path,
        "explanation": msgspec.to_builtins(said) if said else None,
        "problems": [{"problem": problem, "mend": mend} for problem, mend in found.problems],
    }  # fmt: skip


def lines(found: Checked) -> Iterator[str]:
    """Yield it in words."""
    project = found.project
    yield f"{project}, {project.visibility}, in {project.data_center}"
    yield _place(project)
    if found.change:
        handed = f"handed over {found.change[1]:%H:%M:%S}" if found.change[1] else "not handed over"
        yield f"Rights last changed {found.change[0]:%Y-%m-%d %H:%M:%S %Z}, {handed}."
    yield "\nTeam"
    for user, role in access.team(project):
        locked = "  locked out" if not user.is_active else ""
        yield f"  {authz.ACCESS.get(role, 'rwx')}  {user.username} ({user.unix_account}), {role}{locked}"
    yield from _overrides(project)
    if found.told and found.answer:
        yield from _told(found.told, found.answer)
    for problem, mend in found.problems:
        yield f"\nWrong: {problem}\n    {mend}"
    if not found.problems:
        yield "\nNothing is wrong."


def _place(project: Project) -> str:
    if project.node is None:
        return "It was never started: there are no files yet, and nothing to ask a node about."
    return f"Its files are on {project.node}, which is {'up' if project.node.is_up else 'away'}."


def _overrides(project: Project) -> Iterator[str]:
    rows = list(project.overrides.select_related("user"))
    yield "\nSet by hand" if rows else "\nNothing is set by hand."
    for row in rows:
        by = f"by {row.set_by_name}, {row.set_at:%Y-%m-%d}"
        yield f"  {row.access}  {row.user.username} on {shown(row.path)}, {by}"


def _told(told: Told, answer: Finding) -> Iterator[str]:
    yield f"\n{told.headline}"
    if told.cause:
        yield f"  {told.cause}"
    for number, reason in enumerate(told.reasons, 1):
        yield f"  {number}. {reason.text} ({reason.verdict})"
    width = max((len(shown(look.path)) for look in told.looks), default=0)
    for look in told.looks:
        cut = f", cut to {look.effective}" if look.effective != look.rights else ""
        yield f"  {shown(look.path) or '.':<{max(width, 1)}}  {look.entry}{look.rights}{cut}"
