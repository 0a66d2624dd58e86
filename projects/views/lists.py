"""Pages that list projects and apps: home, explore, running; and making a new project."""

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from accounts.errors import ActionError
from accounts.models import User
from accounts.pages import page
from accounts.presence import last_visit
from datacenters.models import DataCenter
from projects import access, actions, catalog, history, lifecycle
from projects.forms import NewProjectForm
from projects.models import AppInstance, Project
from projects.summaries import summaries
from projects.workspace import Tile

PAGE_SIZE = 20


@page
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """``tab``: recent (default), owned, shared or public."""
    user = request.user
    team = access.team_projects(user)
    tabs = {
        "recent": team,
        "owned": team.filter(owner=user),
        "shared": team.exclude(owner=user),
        "public": access.visible_projects(user).filter(visibility=Project.Visibility.PUBLIC),
    }
    tab = request.GET.get("tab", "recent")
    tab = tab if tab in tabs else "recent"
    projects = Paginator(tabs[tab].order_by("-last_activity"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    owned, shared = tabs["owned"].count(), tabs["shared"].count()
    context = {
        "section": "home",
        "tab": tab,
        "page": projects,
        "rows": summaries(projects, user),
        "owned": owned,
        "shared": shared,
        "is_new": owned + shared == 0,
        "running": running_apps(user),
        "news": history.since(team, last_visit(request), user),
    }
    if context["is_new"]:
        context["public"] = tabs["public"][:5]
    return render(request, "projects/home.html", context)


def running_apps(user: User) -> list[Tile]:
    """Return a person's active apps, newest first, as tiles."""
    rows = AppInstance.objects.filter(user=user, state__in=list(lifecycle.ACTIVE))
    rows = rows.select_related("project__owner", "project__node", "node").order_by("-requested_at")
    rows = rows.prefetch_related("project__data_center__gateways")
    return [_tile(row) for row in rows]


def _tile(row: AppInstance) -> Tile:
    offer = catalog.offer_of(row)
    return Tile(row.app, offer["title"], offer["icon"], row, catalog.url(row))


@page
@require_GET
def explore(request: HttpRequest) -> HttpResponse:
    """Public projects; with ``q``, all those one may see whose words match."""
    search = request.GET.get("q", "").strip()[:80]
    rows = access.visible_projects(request.user)
    rows = _matching(rows, search) if search else rows.filter(visibility=Project.Visibility.PUBLIC)
    projects = Paginator(rows.order_by("-last_activity"), PAGE_SIZE).get_page(
        request.GET.get("page")
    )
    context = {
        "section": "explore",
        "search": search,
        "page": projects,
        "rows": summaries(projects, request.user),
    }
    return render(request, "projects/explore.html", context)


def _matching(rows: QuerySet[Project], search: str) -> QuerySet[Project]:
    for word in search.replace("/", " ").split()[:8]:
        rows = rows.filter(
            Q(name__icontains=word)
            | Q(summary__icontains=word)
            | Q(owner__username__icontains=word)
        )
    return rows


@page
@require_GET
def running(request: HttpRequest) -> HttpResponse:
    context = {"section": "running", "apps": running_apps(request.user)}
    return render(request, "projects/running.html", context)


@page
@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    data_centers = list(DataCenter.objects.order_by("created_at").values_list("name", flat=True))
    form = NewProjectForm(request.POST or None, data_centers=data_centers)
    if request.method == "POST" and form.is_valid():
        try:
            project = actions.create_project(request.user, **form.cleaned_data)
        except ActionError as refusal:
            form.refuse(refusal)
        else:
            return redirect(project.get_absolute_url())
    status = 422 if form.errors else 200
    return render(request, "projects/new.html", {"form": form}, status=status)
