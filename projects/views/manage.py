"""For administrators: the dashboard, and lists of projects, apps and jobs."""

from collections.abc import Iterable
from datetime import timedelta

from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import notes
from accounts.models import AuditEntry, Job, User
from accounts.pages import local, staff_page
from datacenters.models import DataCenter, Gateway, Node
from projects import actions, catalog, lifecycle
from projects.models import AppInstance, Project

PAGE_SIZE = 50
DAY = timedelta(days=1)
RECENT = 6


def _frame(part: str) -> dict[str, object]:
    return {"section": "manage", "part": part}


@staff_page
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    apps = _apps().filter(state__in=list(lifecycle.ACTIVE))
    context = _frame("dashboard") | {
        "counts": _counts(),
        "data_centers": _data_centers(),
        "troubles": _troubles(),
        "apps": _offered(apps[:RECENT]),
        "apps_count": apps.count(),
        "failed": _offered(_apps().filter(_failed_lately())[:RECENT]),
        "jobs": Job.objects.filter(state__in=["waiting", "running", "failed"])[:RECENT],
        "audit": AuditEntry.objects.order_by("-at")[:RECENT],
    }
    return render(request, "projects/manage/dashboard.html", context)


def _counts() -> list[dict[str, object]]:
    """Return what the dashboard counts, each with the list that it leads to."""
    day = timezone.now() - DAY
    apps = reverse("projects:manage-apps")
    people, active = (
        User.objects.all(),
        AppInstance.objects.filter(state__in=list(lifecycle.ACTIVE)),
    )
    signed_in = AuditEntry.objects.filter(verb="account.sign_in", at__gt=day)
    failed = AppInstance.objects.filter(_failed_lately()).count()
    waiting = Job.objects.filter(state="waiting", run_at__lte=timezone.now())
    new_people = people.filter(date_joined__gt=day).count()
    new_projects = Project.objects.filter(created_at__gt=day).count()
    return [
        _count("Users", people.count(), reverse("people:list"), f"{new_people} new today"),
        _count("Signed in", signed_in.values("actor_name").distinct().count(),
               reverse("people:audit") + "?verb=account.sign_in", "in the last 24 h"),
        _count("Projects", Project.objects.count(), reverse("projects:manage-projects"),
               f"{new_projects} new today"),
        _count("Running apps", active.count(), f"{apps}?state=active",
               f"on {_plural(active.values('node').distinct().count(), 'node')}"),
        _count("Failed starts", failed, f"{apps}?state=failed", "in the last 24 h", bad=failed > 0),
        _count("Waiting jobs", waiting.count(), reverse("projects:manage-queue"), _oldest(waiting)),
    ]  # fmt: skip


def _count(label: str, value: int, url: str, note: str, *, bad: bool = False) -> dict[str, object]:
    return {"label": label, "value": value, "url": url, "note": note, "bad": bad}


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _oldest(waiting: object) -> str:
    first = waiting.order_by("run_at").first()
    if first is None:
        return "nothing waits"
    return f"oldest {int((timezone.now() - first.run_at).total_seconds())} s"


def _failed_lately() -> Q:
    return Q(state="failed") & Q(ended_at__gt=timezone.now() - DAY)


def _data_centers() -> list[DataCenter]:
    active = Q(nodes__instances__state__in=list(lifecycle.ACTIVE))
    rows = DataCenter.objects.annotate(apps=Count("nodes__instances", filter=active, distinct=True))
    rows = list(rows.prefetch_related("gateways", "nodes"))
    counts = dict(
        AppInstance.objects.filter(state__in=list(lifecycle.ACTIVE))
        .order_by().values_list("node").annotate(Count("pk"))
    )  # fmt: skip
    for row in rows:
        for node in row.nodes.all():
            node.apps = counts.get(node.pk, 0)
    return rows


def _troubles() -> int:
    gateways = sum(not row.is_up for row in Gateway.objects.all())
    nodes = sum(not row.is_up or bool(row.status.get("problems")) for row in Node.objects.all())
    return gateways + nodes


def _offered(rows: Iterable[AppInstance]) -> list[AppInstance]:
    """Return the runs, each with ``offer``: how people know its app."""
    found = list(rows)
    for row in found:
        row.offer = catalog.offer_of(row)
    return found


def _apps() -> QuerySet[AppInstance]:
    rows = AppInstance.objects.select_related("project__owner", "user", "node")
    return rows.order_by("-requested_at")


@staff_page
@require_GET
def apps(request: HttpRequest) -> HttpResponse:
    """``state``: active (default) or failed (in the last day)."""
    state = "failed" if request.GET.get("state") == "failed" else "active"
    active = Q(state__in=list(lifecycle.ACTIVE))
    rows = _apps().filter(_failed_lately() if state == "failed" else active)
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = _frame("apps") | {"page": page, "runs": _offered(page), "state": state}
    return render(request, "projects/manage/apps.html", context)


@staff_page
@require_POST
def stop(request: HttpRequest, pk: str) -> HttpResponse:
    """Stop anybody's app."""
    row = AppInstance.objects.filter(pk=pk).select_related("user", "node").first()
    if row is None:
        raise Http404
    actions.stop_instance(row.pk, by=request.user)
    notes.done(request, f"{catalog.offer_of(row)['title']} of {row.user} is being stopped.")
    return redirect(local(request.POST.get("next", ""), reverse("projects:manage-apps")))


@staff_page
@require_GET
def projects(request: HttpRequest) -> HttpResponse:
    """All projects by name and owner; what is in them stays with their teams."""
    search = request.GET.get("q", "").strip()[:80]
    rows = Project.objects.select_related("owner", "data_center", "node").order_by("-last_activity")
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(owner__username__icontains=search))
    active = Count("instances", filter=Q(instances__state__in=list(lifecycle.ACTIVE)))
    page = Paginator(rows.annotate(apps=active), PAGE_SIZE).get_page(request.GET.get("page"))
    context = _frame("projects") | {"page": page, "q": search}
    return render(request, "projects/manage/projects.html", context)


@staff_page
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    rows = Job.objects.order_by("-created_at")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    return render(request, "projects/manage/queue.html", _frame("queue") | {"page": page})
