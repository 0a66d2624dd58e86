"""A project's settings: text, team, who sees it, where it lives, and its end."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import authz, notes
from accounts.errors import ActionError
from accounts.models import User
from accounts.pages import page
from projects import access, actions, catalog, lifecycle, markdown, people
from projects.forms import DeleteForm, GeneralForm, MemberForm, VisibilityForm
from projects.models import AppInstance, Project

from .project import frame


def _open(request: HttpRequest, owner: str, name: str, permission: authz.Permission) -> Project:
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, permission)
    return row


def _shown(
    request: HttpRequest, row: Project, part: str, status: int = 200, **context: object
) -> HttpResponse:
    context = frame(row, request.user, "settings") | {"setting": part} | context
    return render(request, f"projects/settings/{part}.html", context, status=status)


def _to(view: str, row: Project) -> str:
    return reverse(f"projects:{view}", args=[row.owner.username, row.name])


# --- text ----------------------------------------------------------------------------------------


@page
@require_http_methods(["GET", "POST"])
def general(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = _open(request, owner, name, "edit")
    if request.method == "GET":
        return _shown(request, row, "general", form=GeneralForm.of(row))
    form = GeneralForm(request.POST)
    if not form.is_valid():
        return _shown(request, row, "general", 422, form=form)
    if "preview" in request.POST:
        html = markdown.render(form.cleaned_data["description"])
        return _shown(request, row, "general", form=form, preview=html, previewed=True)
    try:
        actions.update_project(row, by=request.user, **form.cleaned_data)
    except ActionError as refusal:
        form.refuse(refusal)
        return _shown(request, row, "general", refusal.status, form=form)
    notes.done(request, "The description is saved.")
    return redirect(_to("settings", row))


@page
@require_POST
def preview(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """The description as the page would show it."""
    _open(request, owner, name, "edit")
    text = request.POST.get("description", "")[: actions.DESCRIPTION_LIMIT]
    return render(request, "projects/settings/preview.html", {"preview": markdown.render(text)})


@page
@require_http_methods(["GET", "POST"])
def visibility(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = _open(request, owner, name, "publish")
    if request.method == "GET":
        form = VisibilityForm(initial={"visibility": row.visibility})
        return _shown(request, row, "visibility", form=form)
    form = VisibilityForm(request.POST)
    if not form.is_valid():
        return _shown(request, row, "visibility", 422, form=form)
    before, after = row.visibility, form.cleaned_data["visibility"]
    actions.update_project(row, by=request.user, visibility=after)
    if before != after:
        text = f"{row.name} is now {after}."
        notes.done(request, text, undo=_to("visibility", row), visibility=before)
    return redirect(_to("visibility", row))


# --- team ----------------------------------------------------------------------------------------


def _team(request: HttpRequest, row: Project, form: MemberForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "members": people.members(row, request.user), "roles": _roles()}
    return _shown(request, row, "team", status, **context)


def _roles() -> list[tuple[str, str]]:
    return [(role, authz.PROSE[role]) for role in reversed(list(authz.ACCESS))]


@page
@require_GET
def team(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    return _team(request, row, MemberForm(initial={"role": "editor"}))


@page
@require_POST
def add_member(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = _open(request, owner, name, "manage_team")
    form = MemberForm(request.POST)
    if not form.is_valid():
        return _team(request, row, form, 422)
    given = form.cleaned_data
    try:
        user = people.find(given["user"])
        if access.role_of(user, row) is not None:
            people.refuse_again(user, row)
        actions.set_role(row, user.username, given["role"], by=request.user)
    except ActionError as refusal:
        form.refuse(refusal)
        return _team(request, row, form, refusal.status)
    notes.done(request, f"{user.username} is now {_a(given['role'])}.")
    return redirect(_to("team", row))


def _a(role: str) -> str:
    return f"an {role}" if role == "editor" else f"a {role}"


@page
@require_POST
def change_role(request: HttpRequest, owner: str, name: str, username: str) -> HttpResponse:
    row = _open(request, owner, name, "manage_team")
    user = people.member(row, username)
    before, after = access.role_of(user, row), request.POST.get("role", "")
    actions.set_role(row, username, after, by=request.user)
    if before != after:
        undo = reverse("projects:change-role", args=[owner, name, username])
        notes.done(request, f"{username} is now {_a(after)}.", undo=undo, role=before)
    return redirect(_to("team", row))


@page
@require_http_methods(["GET", "POST"])
def remove_member(request: HttpRequest, owner: str, name: str, username: str) -> HttpResponse:
    """GET lists what would end; POST does it."""
    row = access.get_project(request.user, owner, name)
    user = people.member(row, username)
    leaving = user.pk == request.user.pk
    if not leaving:
        access.require(request.user, row, "manage_team")
    if request.method == "POST":
        actions.remove_member(row, username, by=request.user)
        notes.done(request, f"You left {row}." if leaving else f"{username} is removed.")
        return redirect("/" if leaving else _to("team", row))
    context = {
        "person": user,
        "leaving": leaving,
        "ending": _active(row, user),
        "by_hand": row.overrides.filter(user=user).count(),
    }
    return _confirm(request, row, "remove_member", context)


def _active(row: Project, user: User | None = None) -> list[AppInstance]:
    rows = AppInstance.objects.filter(project=row, state__in=list(lifecycle.ACTIVE))
    rows = rows.filter(user=user) if user else rows
    found = list(rows.select_related("node", "user"))
    for instance in found:
        instance.offer = catalog.offer_of(instance)
    return found


def _confirm(
    request: HttpRequest, row: Project, what: str, context: dict[str, object], status: int = 200
) -> HttpResponse:
    """Show a confirmation in the page's dialog, or without JavaScript as a page."""
    whole = "" if request.htmx else "_page"
    context = frame(row, request.user, "settings") | context
    return render(request, f"projects/confirm/{what}{whole}.html", context, status=status)


@page
@require_GET
def suggest(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """People whose name has ``user`` in it, for the field that adds one."""
    row = _open(request, owner, name, "manage_team")
    typed = request.GET.get("user", "").strip()[:80]
    context = {"options": people.suggest(row, typed) if typed else []}
    return render(request, "projects/settings/options.html", context)


# --- place and end -------------------------------------------------------------------------------


@page
@require_GET
def place(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    gateway = row.data_center.gateways.first()
    return _shown(request, row, "place", gateway=gateway)


@page
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = _open(request, owner, name, "delete")
    form = DeleteForm(request.POST or None, project=row)
    if request.method == "POST" and form.is_valid():
        actions.delete_project(row, by=request.user)
        notes.done(request, f"{row} is deleted.")
        return redirect("/")
    context = {
        "form": form,
        "ending": _active(row),
        "members": len(access.team(row)) - 1,
    }
    return _shown(request, row, "delete", 422 if form.errors else 200, **context)
