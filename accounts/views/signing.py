"""Signing in and out, and setting a password by a one-time link."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import urlsafe_base64_decode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from accounts import actions, notes
from accounts.errors import ActionError
from accounts.forms import PasswordForm, SignInForm
from accounts.models import User
from accounts.pages import local

_PROJECT = re.compile(r"/([a-z][a-z0-9-]{1,31})/([a-z][a-z0-9-]{1,31})(?:/.*)?")
BACKEND = "django.contrib.auth.backends.ModelBackend"


@never_cache
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """``next`` is where the person wanted to go; the page names it when it is a project."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    target = local(wanted, "/")
    if request.user.is_authenticated and request.method == "GET":
        return redirect(target)
    form = SignInForm(request.POST or None, request=request)
    if request.method == "POST" and form.is_valid():
        login(request, form.user)
        return redirect(target)
    context = {
        "form": form,
        "next": wanted,
        "place": _place(target),
        "ended": _session_ended(request, wanted),
    }
    response = render(request, "accounts/sign_in.html", context, status=_status(form))
    if form.wait:
        response["Retry-After"] = str(form.wait)
    return response


def _status(form: SignInForm) -> int:
    if form.wait:
        return 429
    return 422 if form.errors else 200


def sign_in_to_admin(request: HttpRequest) -> HttpResponse:
    """The admin has no sign-in of its own: one page, one throttle."""
    if request.user.is_authenticated:
        raise Http404  # signed in, and may not see it
    wanted = local(request.GET.get("next", ""), "/admin-site/")
    return redirect(f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': wanted})}")


def _session_ended(request: HttpRequest, wanted: str) -> bool:
    """Say whether this browser was signed in before: its cookie opens nothing any more."""
    return bool(wanted) and settings.SESSION_COOKIE_NAME in request.COOKIES


def _place(path: str) -> tuple[str, str] | None:
    """Return owner and project of a path, also of one that a gateway asks to sign in for."""
    parts = urlsplit(path)
    if parts.path == "/oauth/authorize":
        asked_for = parse_qs(parts.query).get("place", [""])[0]
        # It comes from a link that anybody can make: only a path of this site is read.
        parts = urlsplit(local(asked_for, "/"))
    found = _PROJECT.fullmatch(parts.path)
    reserved = ("manage", "accounts", "oauth", "api")
    return None if found is None or found[1] in reserved else (found[1], found[2])


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)


@never_cache
@sensitive_post_parameters("password", "again")
def set_password(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """The page behind a one-time link; the link ends with the first use."""
    user = _user_of(uid)
    if user is None or not default_token_generator.check_token(user, token):
        return render(request, "accounts/link_over.html", status=410)
    form = PasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and _set(form, user):
        login(request, user, backend=BACKEND)
        notes.done(request, "Your password is set.")
        return redirect("/")
    context = {"form": form, "person": user}
    return render(
        request, "accounts/set_password.html", context, status=422 if form.errors else 200
    )


def _user_of(uid: str) -> User | None:
    try:
        return User.objects.filter(pk=urlsafe_base64_decode(uid).decode(), is_active=True).first()
    except (ValueError, ValidationError):
        return None


def _set(form: PasswordForm, user: User) -> bool:
    try:
        actions.set_password(user, form.cleaned_data["password"], by=user)
    except ActionError as refusal:
        form.refuse(refusal)
        return False
    return True


def keep_signed_in(request: HttpRequest, user: User) -> None:
    """After a change of one's own password: this browser stays signed in, all others are out."""
    update_session_auth_hash(request, user)


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember light or dark colours in a cookie, for browsers without JavaScript."""
    response = redirect(local(request.POST.get("next", ""), "/"))
    chosen = request.POST.get("theme", "")
    if chosen in ("light", "dark"):
        # Readable by our script, which switches without a reload.
        response.set_cookie("aen_theme", chosen, max_age=365 * 86_400, samesite="Lax",
                            secure=settings.SESSION_COOKIE_SECURE)  # fmt: skip
    return response
