"""One address for the site, and the headers that every page carries."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from datacenters.gateways import public_urls

Handler = Callable[[HttpRequest], HttpResponse]


class CanonicalHost:
    """Send people to the site's one address, so that sign-in to gateways finds its cookies."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.host = urlsplit(settings.AEN_PUBLIC_URL).netloc

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method == "GET" and request.get_host() != self.host and self._is_page(request):
            return HttpResponseRedirect(settings.AEN_PUBLIC_URL + request.get_full_path())
        return self.get_response(request)

    @staticmethod
    def _is_page(request: HttpRequest) -> bool:
        # Gateways and scripts may reach the server by an inner address.
        return not request.path.startswith(("/api/", "/gateway/", "/static/"))


class SecurityHeaders:
    """Nothing is loaded from elsewhere, and nobody may frame a page."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self._policy())
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    @staticmethod
    def _policy() -> str:
        # Signing in to an app posts here and is sent on to the gateway: a form may end there.
        forms = " ".join(["'self'", *public_urls()])
        return (
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
            f"frame-ancestors 'none'; form-action {forms}"
        )
