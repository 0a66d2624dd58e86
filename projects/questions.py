"""Asking a project's node: what somebody may do with a path and why, which environments there are.

A question is a row: the wire of the node's gateway sends it, the node's answer is written into it,
and whoever asked waits for that, in a thread of their own as each request has one. Nothing else can
be answered: a report that no question of that node waits for is dropped.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.http import Http404
from django.utils import timezone

from accounts.authz import Role
from accounts.errors import Conflict, Invalid, NoAnswer, Unavailable
from accounts.models import User
from compute_agent.protocol import (
    Answer,
    AppStatus,
    EnvironmentsFound,
    Explain,
    Explanation,
    FindEnvironments,
    Question,
    Snapshot,
)
from datacenters.models import Node
from datacenters.wake import ThreadSleeper, wake
from datacenters.wire import Due
from gateway.protocol import Undelivered

from . import access, inventory, paths
from .models import AccessQuestion, PathOverride, Project
from .plain import plain
from .specs import spec

log = logging.getLogger(__name__)

#: Seconds for which one waits for a node.
PATIENCE = 5.0
#: Longest wait, in seconds, until an answer that another process took is seen.
LOOK_EVERY = 0.1
#: Questions of one person at a time: each waits.
AT_ONCE = 4
#: What is kept of one answer, however much a node says.
LOOKS, WORDS = 260, 1000
ACCESS = AccessQuestion.About.ACCESS
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Finding:
    """``said``: what the node found. ``override``: what is set by hand on the path, or nearest."""

    user: User
    role: Role | None
    path: str
    said: Explanation
    override: PathOverride | None


def ask(project: Project, path: str, *, by: User | None, username: str = "") -> Finding:
    """Return what a person (by default oneself) may do with a path, as the project's node finds it.

    ``by=None`` asks for the site itself. Raises ``Invalid`` for bad input, ``Conflict`` before a
    project's first start, ``Unavailable`` if its node is away, ``NoAnswer`` if it says nothing.
    """
    path = paths.clean(path)
    user = _person(project, username, by)
    node = node_of(project)
    row = AccessQuestion(project=project, node=node, user=user, path=path, asked_by=by)
    said = msgspec.convert(wait(row), Explanation)
    if by is not None and not access.may(by, project, "set_access"):
        said = _up_to_the_wall(said, path)
    return _with_what_is_meant(project, user, path, said)


def _with_what_is_meant(project: Project, user: User, path: str, said: Explanation) -> Finding:
    """Add the role (that of somebody who is locked out, too) and what is set by hand and counts."""
    role = dict(access.team(project)).get(user)
    counts = user.is_active or role is not None  # as the node is told
    override = nearest_override(project, user, path) if counts else None
    return Finding(user, role, path, said, override)


def _person(project: Project, username: str, by: User | None) -> User:
    if by is not None:
        access.require(by, project, "see_access")
        if username in ("", by.username):
            return by
        access.require(by, project, "set_access")
    user = User.objects.filter(username=username or project.owner.username).first()
    if user is None:
        raise Invalid("user", f"There is no user “{username[:40]}”. Choose one from the list.")
    return user


def node_of(project: Project) -> Node:
    node = project.node
    if node is None:
        raise Conflict(
            f"{project} was never started, so it has no files yet. Open one of its apps."
        )
    if not node.is_up:
        raise Unavailable(_away(node))
    return node


def _away(node: Node) -> str:
    return f"{node} can’t be reached. {node.cause}".strip() + " What it last applied still holds."


def nearest_override(project: Project, user: User, path: str) -> PathOverride | None:
    """Return what is set by hand for a person on the path, or on the nearest folder around it."""
    rows = [row for row in project.overrides.filter(user=user) if paths.is_in(path, row.path)]
    return max(rows, key=lambda row: len(row.path), default=None)


def _up_to_the_wall(said: Explanation, path: str) -> Explanation:
    """Return the answer without what lies behind a folder that the person can't enter.

    It is the same whether there is anything of that name behind it or not.
    """
    for number, look in enumerate(said.looks):
        if look.path != path and look.effective[2] == "-":
            place = f"The folder {look.path}" if look.path else "The project’s folder"
            return Explanation(
                said.question_id,
                "other",
                "---",
                said.looks[: number + 1],
                f"{place} can’t be entered, so what is in it can’t be told.",
                "Ask the owner or a manager.",
            )
    return said


# --- waiting -------------------------------------------------------------------------------------


def wait(row: AccessQuestion) -> dict[str, Any]:
    """Put a question and return the node's answer as plain data.

    Raises ``Unavailable``, ``NoAnswer``, ``Conflict``.
    """
    with ThreadSleeper() as sleeper, _put(row):
        deadline = time.monotonic() + PATIENCE
        while row.answer is None:
            if row.cause:
                raise Unavailable(f"The question did not reach {row.node}: {row.cause}")
            if time.monotonic() > deadline:
                raise _too_late(row)
            sleeper.wait(LOOK_EVERY)
            _reread(row)
        return row.answer


@contextmanager
def _put(row: AccessQuestion) -> Iterator[None]:
    """Put a question, and take it back in the end."""
    by = row.asked_by
    since = timezone.now() - timedelta(seconds=2 * PATIENCE)
    if by and AccessQuestion.objects.filter(asked_by=by, asked_at__gt=since).count() >= AT_ONCE:
        raise Conflict(f"{AT_ONCE} questions of yours wait for an answer. Ask again in a moment.")
    row.save(force_insert=True)
    wake()
    try:
        yield
    finally:
        AccessQuestion.objects.filter(pk=row.pk).delete()


def _reread(row: AccessQuestion) -> None:
    try:
        row.refresh_from_db(fields=["answer", "cause", "sent_at"])
    except AccessQuestion.DoesNotExist as error:  # deleted with its project
        raise Http404 from error


def _too_late(row: AccessQuestion) -> Exception:
    node = Node.objects.filter(pk=row.node_id).first()
    if node is not None and not node.is_up:
        return Unavailable(_away(node))
    if row.sent_at is None:
        center = row.project.data_center
        return NoAnswer(f"The gateway of {center} did not fetch the question within {PATIENCE:.0f} s. "
                        "An administrator can look into gateway.log.")  # fmt: skip
    return NoAnswer(f"{node} did not answer within {PATIENCE:.0f} s. It may be busy: ask again. If it "
                    "stays so, an administrator can look into compute.log there.")  # fmt: skip


# --- the wire ------------------------------------------------------------------------------------


def due(data_center: UUID) -> Iterator[Due]:
    """Yield the questions that wait in a data center, each once: who asked can ask again."""
    waiting = AccessQuestion.objects.filter(
        sent_at=None, node__data_center=data_center, node__up=True,
        asked_at__gt=timezone.now() - timedelta(seconds=2 * PATIENCE),
    )  # fmt: skip
    for row in waiting.select_related("node", "user", "project__owner")[:100]:
        claimed = AccessQuestion.objects.filter(pk=row.pk, sent_at=None)
        if claimed.update(sent_at=timezone.now()):
            yield row.node, row.pk.hex, _command(row)


def _command(row: AccessQuestion) -> Question:
    asked = (row.pk.hex, spec(row.project), row.user.unix_account, row.path)
    if row.about == ACCESS:
        return Explain(*asked)
    return FindEnvironments(*asked, export=row.about == AccessQuestion.About.EXPORT)


def take(node: Node, report: AppStatus | Snapshot | Answer) -> None:
    """Take an answer to a question that was put to this node."""
    if isinstance(report, AppStatus | Snapshot) or not _ID.fullmatch(report.question_id):
        return
    rows = AccessQuestion.objects.filter(
        pk=UUID(report.question_id), node=node, answer__isnull=True, sent_at__isnull=False
    )
    is_of_access = isinstance(report, Explanation)
    rows = rows.filter(about=ACCESS) if is_of_access else rows.exclude(about=ACCESS)
    if rows.update(answer=msgspec.to_builtins(_bounded(report))):
        wake()
    else:
        log.info("%s answered a question that it was not asked, or too late", node)


def _bounded(said: Answer) -> Answer:
    if isinstance(said, EnvironmentsFound):
        return inventory.bounded(said)
    looks = tuple(
        msgspec.structs.replace(
            look, path=look.path[: paths.LONGEST], entry=plain(look.entry)[:200]
        )
        for look in said.looks[:LOOKS]
    )
    cause, mend = plain(said.cause)[:WORDS], plain(said.mend)[:WORDS]
    return msgspec.structs.replace(said, looks=looks, cause=cause, mend=mend)


def undelivered(node: Node, lost: Undelivered) -> None:
    """Tell whoever waits that the question did not arrive, or was refused."""
    cause = lost.cause[:400] or "it was refused"
    if AccessQuestion.objects.filter(pk=UUID(lost.id), node=node).update(cause=cause):
        wake()
