"""What every page does alike: who may see it, and how refusals are shown."""

from collections.abc import Callable
from functools import wraps
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from .errors import ActionError

View = Callable[..., HttpResponse]


def page(view: View) -> View:
    """Show ``view`` to signed-in people only, and an action's refusal as a page of its own."""

    @never_cache
    @wraps(view)
    def shown(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            return _to_sign_in(request)
        try:
            return view(request, *args, **kwargs)
        except ActionError as refusal:
            return _refusal(request, refusal)

    return shown


def staff_page(view: View) -> View:
    """The same for administrators; to everybody else there is no such page."""

    @wraps(view)
    def shown(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_staff:
            raise Http404
        return view(request, *args, **kwargs)

    return page(shown)


def _refusal(request: HttpRequest, refusal: ActionError) -> HttpResponse:
    title = "You may not do this" if refusal.status == 403 else "This can’t be done"
    context = {"code": refusal.status, "headline": title, "cause": refusal.detail}
    return render(request, "aen/broken.html", context, status=refusal.status)


def _to_sign_in(request: HttpRequest) -> HttpResponse:
    address = resolve_url(settings.LOGIN_URL)
    if not request.htmx:
        back = request.get_full_path() if request.method == "GET" else ""
        return redirect(f"{address}?{urlencode({'next': back})}" if back else address)
    # A part of a page can't be replaced by the sign-in page: the whole page goes there.
    back = _path_of(request.htmx.current_url or "/")
    response = HttpResponse(status=204)
    response["HX-Redirect"] = f"{address}?{urlencode({'next': back})}"
    return response


def _path_of(url: str) -> str:
    """Return path and query of an address that a browser named; ``/`` of one that is none."""
    try:
        shown = urlsplit(url)
    except ValueError:
        return "/"
    return f"{shown.path}?{shown.query}" if shown.query else shown.path


def local(path: str, default: str) -> str:
    """Return ``path`` if it is one of this site, else ``default``."""
    plain = path.startswith("/") and not any(c in path for c in "\\\r\n\t\x00")
    if plain and url_has_allowed_host_and_scheme(path, allowed_hosts=None):
        return path
    return default
