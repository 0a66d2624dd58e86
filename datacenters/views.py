"""For administrators: data centers with their gateways and nodes."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts import notes
from accounts.pages import staff_page

from . import actions
from .models import DataCenter, Node


@staff_page
@require_GET
def data_centers(request: HttpRequest) -> HttpResponse:
    rows = DataCenter.objects.prefetch_related("gateways", "nodes")
    context = {"data_centers": rows, "section": "manage", "part": "data-centers"}
    return render(request, "datacenters/data_centers.html", context)


@staff_page
@require_POST
def drain(request: HttpRequest, name: str) -> HttpResponse:
    return _drain(request, name, drain=True)


@staff_page
@require_POST
def activate(request: HttpRequest, name: str) -> HttpResponse:
    return _drain(request, name, drain=False)


def _drain(request: HttpRequest, name: str, *, drain: bool) -> HttpResponse:
    node = Node.objects.filter(name=name).first()
    if node is None:
        raise Http404
    actions.drain_node(node, drain=drain, by=request.user)
    text = f"{name} takes no new projects." if drain else f"{name} takes new projects again."
    back = "datacenters:activate" if drain else "datacenters:drain"
    notes.done(request, text, undo=reverse(back, args=[name]))
    return redirect("datacenters:list")
