"""A project's environments: what there is, what is in each, and changes of them."""

from collections.abc import Callable
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.errors import ActionError, NotThere
from accounts.pages import page
from compute_agent.protocol import EnvironmentsFound
from projects import access, actions, changing, environments
from projects.forms import CopyForm, InstallForm, NewEnvironmentForm
from projects.models import AppInstance, Project

from .project import frame

_NOTHING = EnvironmentsFound("")


@page
@require_http_methods(["GET", "POST"])
def index(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """The list; POST makes an environment."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "see_environments")
    found, problem = _find(request, row)
    form = NewEnvironmentForm(request.POST or None, makers=found.makers)
    status = 200
    if request.method == "POST" and (answer := _do(form, lambda: _create(request, row, form))):
        if isinstance(answer, AppInstance):
            return redirect(_to("environments", row))
        status = answer
    context = _frame(request, row) | {"found": found, "problem": problem, "form": form}
    return render(request, "projects/environments.html", context, status=status)


def _create(request: HttpRequest, row: Project, form: NewEnvironmentForm) -> AppInstance:
    given = form.cleaned_data
    return actions.create_environment(
        row, given["name"], given["packages"], by=request.user,
        file=given["file"], maker=given.get("maker", ""), python=given["python"],
    )  # fmt: skip


@page
@require_GET
def one(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    """One environment with its packages."""
    return _one(request, _project(request, owner, name), environment)


def _one(
    request: HttpRequest, row: Project, environment: str, status: int = 200, **forms: object
) -> HttpResponse:
    found, problem = _find(request, row, environment)
    known = next((one for one in found.environments if one.name == environment), None)
    if known is None and not problem:
        raise Http404
    context = _frame(request, row) | {
        "name": environment,
        "one": known,
        "found": found,
        "problem": problem,
        "install": InstallForm(),
        "copy": CopyForm(),
    }
    return render(request, "projects/environment.html", context | forms, status=status)


@page
@require_POST
def install(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    row, form = _project(request, owner, name), InstallForm(request.POST)
    answer = _do(form, lambda: actions.install_packages(
        row, environment, form.cleaned_data["packages"], by=request.user,
        pip=form.cleaned_data["pip"],
    ))  # fmt: skip
    if isinstance(answer, AppInstance):
        return redirect(_to("environment", row, environment))
    return _one(request, row, environment, answer, install=form)


@page
@require_POST
def copy(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    row, form = _project(request, owner, name), CopyForm(request.POST)
    answer = _do(form, lambda: actions.clone_environment(
        row, environment, form.cleaned_data["name"], by=request.user
    ))  # fmt: skip
    if isinstance(answer, AppInstance):
        return redirect(_to("environments", row))
    return _one(request, row, environment, answer, copy=form)


@page
@require_POST
def remove(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    """Remove ``packages``; ``pip`` are those of PyPI in an environment of conda packages."""
    row = access.get_project(request.user, owner, name)
    pip = request.POST.getlist("pip")
    packages = pip or request.POST.getlist("packages")
    actions.remove_packages(row, environment, packages, by=request.user, pip=bool(pip))
    return redirect(_to("environment", row, environment))


@page
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    """GET says what would go; POST does it."""
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "change_environments")
    if request.method == "POST":
        actions.delete_environment(row, environment, by=request.user)
        return redirect(_to("environments", row))
    whole = "" if request.htmx else "_page"
    context = frame(row, request.user, "environments") | {"name": environment}
    return render(request, f"projects/confirm/environment{whole}.html", context)


@page
@require_GET
def export(request: HttpRequest, owner: str, name: str, environment: str) -> HttpResponse:
    """Give the text from which the same is made again, as a file."""
    row = access.get_project(request.user, owner, name)
    found = environments.find(row, by=request.user, name=environment, export=True)
    answer = HttpResponse(found.export, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{row.name}-{environment}.txt"'
    return answer


# --- the change under way ------------------------------------------------------------------------


@page
@require_GET
def change(request: HttpRequest, owner: str, name: str) -> HttpResponse:
    """The moving part of the page. ``seen``: what the page shows; 204 when that is still so.

    When a change came to its end the whole page is to be loaded again: the list is another.
    """
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "see_environments")
    shown, seen = changing.look(row, request.user), request.GET.get("seen", "")
    if seen == (shown.seen if shown else ""):
        return HttpResponse(status=204)
    if not request.htmx:
        return redirect(_to("environments", row))
    if shown is None or shown.result or shown.row.pk.hex not in seen:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    return render(request, "projects/parts/change.html", {"project": row, "change": shown})


@page
@require_POST
def cancel(request: HttpRequest, owner: str, name: str, pk: UUID) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    actions.cancel_change(row, pk, by=request.user)
    return redirect(_to("environments", row))


@page
@require_POST
def dismiss(request: HttpRequest, owner: str, name: str, pk: UUID) -> HttpResponse:
    row = access.get_project(request.user, owner, name)
    actions.dismiss_change(row, pk, by=request.user)
    return redirect(_to("environments", row))


# --- parts ---------------------------------------------------------------------------------------


def _project(request: HttpRequest, owner: str, name: str) -> Project:
    row = access.get_project(request.user, owner, name)
    access.require(request.user, row, "see_environments")
    return row


def _do(form: object, act: Callable[[], AppInstance]) -> AppInstance | int:
    """Return the change that was begun, or the status with which the form is shown again."""
    if not form.is_valid():
        return 422
    try:
        return act()
    except ActionError as refusal:
        form.refuse(refusal)
        return refusal.status


def _frame(request: HttpRequest, row: Project) -> dict[str, object]:
    shown = changing.look(row, request.user)
    may = access.may(request.user, row, "change_environments")
    return frame(row, request.user, "environments") | {
        "change": shown,
        "busy": shown is not None and shown.result is None,
        "may_change": may and not (shown and shown.result is None),
        "poll": True,
    }


def _find(request: HttpRequest, row: Project, name: str = "") -> tuple[EnvironmentsFound, str]:
    """Return what the node says, or why it says nothing."""
    if row.node is None:
        return _NOTHING, ""
    try:
        return environments.find(row, by=request.user, name=name), ""
    except NotThere:
        return _NOTHING, ""
    except ActionError as refusal:
        return _NOTHING, refusal.detail


def _to(view: str, row: Project, *more: str) -> str:
    return reverse(f"projects:{view}", args=[row.owner.username, row.name, *more])
