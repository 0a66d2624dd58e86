"""For administrators: the audit log."""

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts.models import AuditEntry
from accounts.pages import staff_page

PAGE_SIZE = 100


@staff_page
@require_GET
def audit_log(request: HttpRequest) -> HttpResponse:
    """Filters: ``actor`` (a user name), ``verb``, ``q`` (part of the target)."""
    chosen = {name: request.GET.get(name, "").strip()[:80] for name in ("actor", "verb", "q")}
    pages = Paginator(_entries(**chosen), PAGE_SIZE)
    verbs = AuditEntry.objects.order_by("verb").values_list("verb", flat=True).distinct()
    context = {
        "entries": pages.get_page(request.GET.get("page")),
        "verbs": list(verbs),
        "chosen": chosen,
        "section": "manage",
        "part": "audit",
    }
    return render(request, "accounts/audit.html", context)


def _entries(actor: str, verb: str, q: str) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.order_by("-at")
    if actor:
        rows = rows.filter(actor_name=actor)
    if verb:
        rows = rows.filter(verb=verb)
    return rows.filter(Q(target__icontains=q)) if q else rows
