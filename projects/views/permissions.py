"""A project's permissions: what is set by hand, and what somebody may do with a path and why."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts import notes
from accounts.errors import ActionError
from accounts.models import User
from accounts.pages import page
from projects import access, actions, explaining, paths, people, questions
from projects.forms import CheckForm, OverrideForm
from projects.models import PathOverride, Project
from projects.rights import in_words

from .project import frame

SHOWN = 60


@dataclass(frozen=True)
class Row:
    """An override, and whether the reader may clear it."""

    override: PathOverride
    role: str | None
    may_clear: bool


@page
@require_GET
def permissions(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """``path`` and ``user`` in the query: what the node says of them stands in the page."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "see_access")
    if "path" not in request.GET:
        return _shown(request, row)
    form = CheckForm(request.GET)
    if not form.is_valid():
        return _shown(request, row, 422, check=form)
    asked = form.cleaned_data
    try:
        answer = questions.ask(row, asked["path"], by=request.user, username=asked["user"])
    except ActionError as refusal:
        return _refused(request, row, form, refusal)
    return _shown(request, row, check=form, answer=answer, told=explaining.tell(answer),
                  may_set_here=access.may_set_for(request.user, row, answer.user))  # fmt: skip


def _refused(
    request: HttpRequest, row: Project, form: CheckForm, refusal: ActionError
) -> HttpResponse:
    """Show why there is no answer: under the field that is wrong, or where the answer would be."""
    problem = refusal.detail if refusal.field not in form.fields else ""
    if not problem:
        form.refuse(refusal)
    return _shown(request, row, refusal.status, check=form, problem=problem)


def _shown(
    request: HttpRequest, row: Project, status: int = 200, **context: object
) -> HttpResponse:
    may_set = access.may(request.user, row, "set_access")
    rows = _rows(row, request.user)
    found = frame(row, request.user, "permissions") | {"rows": rows, "may_set": may_set}
    found |= {"form": OverrideForm(), "check": CheckForm(initial={"user": request.user.username})}
    return render(request, "projects/permissions.html", found | context, status=status)


def _rows(project: Project, reader: User) -> list[Row]:
    roles = dict(access.team(project))
    mine = roles.get(reader)
    return [
        Row(row, roles.get(row.user), access.may_set_role(mine, roles.get(row.user)))
        for row in project.overrides.select_related("user")
    ]


@page
@require_POST
def set_override(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """Set rights by hand. ``access`` (``r-x``) counts before the three ticks of the form."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "set_access")
    form = OverrideForm(request.POST)
    if not form.is_valid():
        return _shown(request, row, 422, form=form)
    given, rights = form.cleaned_data, form.rights
    try:
        before = _access_now(row, given["user"], given["path"])
        done = actions.set_override(row, given["user"], given["path"], rights, by=request.user)
    except ActionError as refusal:
        form.refuse(refusal)
        return _shown(request, row, refusal.status, form=form)
    _note_set(request, row, done, before)
    return redirect(_to("permissions", row))


def _access_now(row: Project, username: str, path: str) -> str:
    now = row.overrides.filter(user__username=username, path=paths.clean(path)).first()
    return now.access if now else ""


def _note_set(request: HttpRequest, row: Project, done: PathOverride, before: str) -> None:
    who = {"user": done.user.username, "path": done.path}
    text = f"Set for {done.user.username} on {_short(done.path)}: {in_words(done.access)}."
    if before:
        notes.done(request, text, undo=_to("set-override", row), access=before, **who)
    else:
        notes.done(request, text, undo=_to("clear-override", row), **who)


@page
@require_POST
def clear_override(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    who = {"user": request.POST.get("user", ""), "path": request.POST.get("path", "")}
    before = actions.remove_override(row, who["user"], who["path"], by=request.user)
    if before is not None:
        text = f"Cleared for {who['user']} on {_short(who['path'])}."
        notes.done(request, text, undo=_to("set-override", row), access=before, **who)
    return redirect(_to("permissions", row))


@page
@require_GET
def suggest(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """People whose name has ``user`` in it, those in the team first."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "set_access")
    typed = request.GET.get("user", "").strip()[:80]
    options = people.suggest(row, typed, team_first=True) if typed else []
    return render(request, "projects/permissions/options.html", {"options": options})


def _to(view: str, row: Project) -> str:
    return reverse(f"projects:{view}", args=[row.owner.username, row.name])


def _short(path: str) -> str:
    path = paths.shown(path)
    return path if len(path) <= SHOWN else f"…{path[-SHOWN:]}"
