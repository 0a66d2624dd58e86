"""One's own account: name, password, tokens, and signing out everywhere."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts import actions, notes
from accounts.errors import ActionError
from accounts.forms import AenForm, ChangePasswordForm, NameForm, TokenForm
from accounts.models import ApiToken
from accounts.pages import page

from .signing import keep_signed_in


def _shown(request: HttpRequest, status: int = 200, **context: object) -> HttpResponse:
    user = request.user
    context.setdefault("name_form", NameForm(initial={"full_name": user.first_name}))
    context.setdefault("password_form", ChangePasswordForm(user=user))
    context.setdefault("token_form", TokenForm(initial={"scopes": ["api"]}))
    context["tokens"] = ApiToken.objects.filter(user=user)
    return render(request, "accounts/account.html", context, status=status)


@page
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _shown(request)


@page
@require_POST
def change_name(request: HttpRequest) -> HttpResponse:
    form = NameForm(request.POST)
    if not form.is_valid():
        return _shown(request, 422, name_form=form)
    actions.rename(request.user, form.cleaned_data["full_name"], by=request.user)
    notes.done(request, "Your name is changed.")
    return redirect("accounts:account")


@page
@sensitive_post_parameters()
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    form = ChangePasswordForm(request.POST, user=request.user, request=request)
    if not form.is_valid() or not _changed(request, form):
        return _shown(request, 422, password_form=form)
    notes.done(request, "Your password is changed. Other browsers are signed out.")
    return redirect("accounts:account")


def _changed(request: HttpRequest, form: AenForm) -> bool:
    try:
        actions.set_password(request.user, form.cleaned_data["password"], by=request.user)
    except ActionError as refusal:
        form.refuse(refusal)
        return False
    keep_signed_in(request, request.user)
    return True


@page
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Show a new token's secret, this once: it is not kept."""
    form = TokenForm(request.POST)
    if not form.is_valid():
        return _shown(request, 422, token_form=form)
    try:
        token, secret = actions.create_token(request.user, by=request.user, **form.cleaned_data)
    except ActionError as refusal:
        form.refuse(refusal)
        return _shown(request, refusal.status, token_form=form)
    return _shown(request, 201, new_token=token, secret=secret)


@page
@require_POST
def revoke_token(request: HttpRequest, pk: str) -> HttpResponse:
    token = ApiToken.objects.filter(pk=pk, user=request.user).first()
    if token is None:
        raise Http404
    actions.revoke_token(token, by=request.user)
    notes.done(request, f"The token “{token.name}” is revoked.")
    return redirect("accounts:account")


@page
@require_POST
def sign_out_everywhere(request: HttpRequest) -> HttpResponse:
    actions.sign_out_everywhere(request.user, by=request.user)
    request.session.flush()
    return redirect("accounts:login")
