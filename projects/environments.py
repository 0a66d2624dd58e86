"""A project's environments, as its node sees them now."""

import msgspec

from accounts.errors import Conflict, Invalid, NotThere
from accounts.models import User
from compute_agent.protocol import EnvironmentsFound

from . import access, inventory, questions
from .models import AccessQuestion, AppInstance, Project

DEFAULT = "default"


def find(project: Project, *, by: User, name: str = "", export: bool = False) -> EnvironmentsFound:
    """Return what a person sees of a project's environments, and what is in the one named.

    Raises ``Conflict`` before a project's first start, ``NotThere`` where none has that name,
    ``Unavailable`` if its node is away, ``NoAnswer`` if it says nothing.
    """
    access.require(by, project, "see_environments")
    if name and not inventory.is_name(name):
        raise Invalid("name", f"{name[:40]!r} is no name of an environment.")
    about = AccessQuestion.About.EXPORT if export else AccessQuestion.About.ENVIRONMENTS
    row = AccessQuestion(
        project=project,
        node=questions.node_of(project),
        user=by,
        path=name,
        asked_by=by,
        about=about,
    )
    found = msgspec.convert(questions.wait(row), EnvironmentsFound)
    if found.cause:
        raise (NotThere if found.missing else Conflict)(f"{found.cause} {found.mend}".strip())
    return found


def result(row: AppInstance) -> str | None:
    """Return what came of a change: ``done``, ``cancelled`` or ``failed``; ``None`` before its end."""
    if row.is_active:
        return None
    if row.state == "failed" or row.dismissed:
        return "failed"
    return "done" if row.exit_code == 0 else "cancelled"
