"""For administrators: everybody's accounts."""

from django.conf import settings
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, notes
from accounts.errors import ActionError, Forbidden
from accounts.forms import PersonForm
from accounts.models import User
from accounts.pages import staff_page

PAGE_SIZE = 50
SHOWN = {"locked": {"is_active": False}, "administrators": {"is_staff": True}}


def _listed(request: HttpRequest, status: int = 200, **context: object) -> HttpResponse:
    search = request.GET.get("q", "").strip()[:80]
    people = User.objects.filter(**SHOWN.get(request.GET.get("show", ""), {}))
    if search:
        people = people.filter(Q(username__icontains=search) | Q(first_name__icontains=search))
    pages = Paginator(people.order_by("username"), PAGE_SIZE)
    context.setdefault("form", PersonForm())
    context |= {
        "people": pages.get_page(request.GET.get("page")),
        "q": search,
        "show": request.GET.get("show", ""),
        "section": "manage",
        "part": "users",
    }
    return render(request, "accounts/people.html", context, status=status)


@staff_page
@require_GET
def people(request: HttpRequest) -> HttpResponse:
    return _listed(request)


@staff_page
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Add a person and show the one-time link for their password, this once."""
    form = PersonForm(request.POST)
    if not form.is_valid():
        return _listed(request, 422, form=form)
    try:
        person = actions.create_user(by=request.user, **form.cleaned_data)
    except ActionError as refusal:
        form.refuse(refusal)
        return _listed(request, refusal.status, form=form)
    return _with_link(request, person, added=True)


def _with_link(request: HttpRequest, person: User, *, added: bool) -> HttpResponse:
    link = settings.AEN_PUBLIC_URL + actions.password_link(person, by=request.user)
    return _listed(request, 201 if added else 200, person=person, link=link, added=added)


@staff_page
@require_POST
def link(request: HttpRequest, username: str) -> HttpResponse:
    """Show a new one-time link; the password that the person has stays until it is used."""
    return _with_link(request, _person(request, username), added=False)


@staff_page
@require_POST
def lock(request: HttpRequest, username: str) -> HttpResponse:
    actions.lock_user(_person(request, username), by=request.user)
    notes.done(request, f"{username} is locked out.", undo=_path("unlock", username))
    return redirect("people:list")


@staff_page
@require_POST
def unlock(request: HttpRequest, username: str) -> HttpResponse:
    actions.unlock_user(_person(request, username), by=request.user)
    notes.done(request, f"{username} can sign in again.", undo=_path("lock", username))
    return redirect("people:list")


def _path(what: str, username: str) -> str:
    from django.urls import reverse

    return reverse(f"people:{what}", args=[username])


def _person(request: HttpRequest, username: str) -> User:
    """Return the person; nobody may act on an account that may do more than their own."""
    person = User.objects.filter(username=username).first()
    if person is None:
        raise Http404
    if person.is_superuser and not request.user.is_superuser:
        raise Forbidden(f"{username} may do more than you. Another administrator has to do this.")
    return person
