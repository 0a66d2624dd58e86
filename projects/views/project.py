"""One project: its page, the part of it that moves, its activity, and starting and stopping apps."""

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import notes
from accounts.errors import Conflict, Invalid
from accounts.models import User
from accounts.pages import local, page
from compute_agent.protocol import ENVIRONMENTS_APP
from projects import access, actions, catalog, history, lifecycle, markdown, workspace
from projects.models import AppInstance, Project

ACTIVITY_PAGE = 50
RAIL_PEOPLE, RAIL_EVENTS = 8, 6


def frame(project: Project, user: User, part: str) -> dict[str, object]:
    """Return what every page of a project shows above its content. ``part``: the open tab."""
    return {
        "project": project,
        "part": part,
        "role": access.role_of(user, project),
        "may_see_access": access.may(user, project, "see_access"),
        "may_see_environments": access.may(user, project, "see_environments"),
        "may_edit": access.may(user, project, "edit"),
        "may_manage_team": access.may(user, project, "manage_team"),
        "may_publish": access.may(user, project, "publish"),
        "may_delete": access.may(user, project, "delete"),
        "pill": _pill(project, user),
    } | _stop_button(project, user)


def _stop_button(project: Project, user: User) -> dict[str, object]:
    return {
        "may_stop_any": access.may(user, project, "stop_any"),
        "stoppable": actions.stoppable(project, by=user).count(),
    }


def _pill(project: Project, user: User) -> tuple[str, str]:
    """Return the project's state for this person: a kind and the words."""
    active = AppInstance.objects.filter(project=project, state__in=list(lifecycle.ACTIVE))
    rows = list(active.exclude(app=ENVIRONMENTS_APP))
    newest = catalog.newest_instances(project, user).values()
    failed = sum(row.state == "failed" and not row.dismissed for row in newest)
    if any(row.state in workspace.STARTING for row in rows):
        return "busy", "Starting"
    if failed:
        return "failed", f"{failed} {'app' if failed == 1 else 'apps'} failed"
    if rows:
        return "running", f"Running · {len(rows)} {'app' if len(rows) == 1 else 'apps'}"
    return "stopped", "Stopped"


@page
@require_GET
def project(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    context = frame(row, request.user, "overview") | {
        "workspace": workspace.look(row, request.user),
        "team": _team(row),
        "events": history.of_project(row, RAIL_EVENTS),
        "readme": markdown.render(row.description),
        "poll": True,
    }
    return render(request, "projects/project.html", context)


def _team(project: Project) -> dict[str, object]:
    """Return the rail's people: each with role and the apps they have open here."""
    members = access.team(project)
    running = AppInstance.objects.filter(project=project, state="running").select_related("user")
    titles = catalog.titles(project)
    apps: dict[object, list[str]] = {}
    for row in running:
        apps.setdefault(row.user_id, []).append(titles.get(row.app, row.app))
    shown = [(user, role, ", ".join(apps.get(user.pk, []))) for user, role in members[:RAIL_PEOPLE]]
    return {"people": shown, "count": len(members), "more": max(0, len(members) - RAIL_PEOPLE)}


@page
@require_GET
def part(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """The moving part of the page. ``seen``: what the page shows; 204 when that is still so."""
    row = access.get_project(request.user, owner, name)
    found = workspace.look(row, request.user)
    if request.GET.get("seen") == found.seen:
        return HttpResponse(status=204)
    if not request.htmx:
        return redirect(row.get_absolute_url())
    return _part(request, row, found)


def _part(request: HttpRequest, row: Project, found: workspace.Workspace) -> HttpResponse:
    context = {"project": row, "workspace": found, "pill": _pill(row, request.user), "poll": True}
    context |= _stop_button(row, request.user)
    return render(request, "projects/workspace_swap.html", context)


@page
@require_GET
def activity(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    pages = Paginator(range(history.count(row)), ACTIVITY_PAGE)
    shown = pages.get_page(request.GET.get("page"))
    offset = (shown.number - 1) * ACTIVITY_PAGE
    context = frame(row, request.user, "activity") | {
        "events": history.of_project(row, ACTIVITY_PAGE, offset),
        "page": shown,
    }
    return render(request, "projects/activity.html", context)


# --- apps ----------------------------------------------------------------------------------------


@page
@require_POST
def start(request: HttpRequest, owner: str, name: str, app: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    problem = ""
    try:
        actions.start_app(row, app, by=request.user)
    except (Conflict, Invalid) as refusal:
        problem = refusal.detail
    return _after(request, row, problem)


@page
@require_POST
def stop(request: HttpRequest, owner: str, name: str, app: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    actions.stop_app(row, app, by=request.user)
    return _after(request, row)


@page
@require_POST
def keep(request: HttpRequest, owner: str, name: str, app: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    actions.keep_app(row, app, by=request.user)
    return _after(request, row)


@page
@require_POST
def reset(request: HttpRequest, owner: str, name: str, app: str) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    actions.reset_app(row, app, by=request.user)
    return _after(request, row)


@page
@require_http_methods(["GET", "POST"])
def stop_all(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """GET lists what would end; POST does it."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "start")
    if request.method == "POST":
        actions.stop_project(row, by=request.user)
        return _after(request, row)
    ending = [_offered(run) for run in actions.stoppable(row, by=request.user)]
    whole = "" if request.htmx else "_page"
    context = frame(row, request.user, "overview") | {"ending": ending}
    return render(request, f"projects/confirm/stop{whole}.html", context)


def _offered(run: AppInstance) -> AppInstance:
    run.offer = catalog.offer_of(run)
    return run


def _after(request: HttpRequest, row: Project, problem: str = "") -> HttpResponse:
    """Answer with the moving part, or for a plain form send the person back."""
    if request.htmx:
        return _part(request, row, workspace.look(row, request.user, problem))
    if problem:
        notes.refused(request, problem)
        return redirect(row.get_absolute_url())
    return redirect(local(request.POST.get("next", ""), row.get_absolute_url()))


def slash(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """``/owner/project/`` is the same page as without the slash."""
    return redirect(f"/{owner}/{name}", permanent=not settings.DEBUG)
