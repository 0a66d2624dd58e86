"""Who asks, one address for the site, and the headers that every page carries."""

from collections.abc import Callable
from typing import ClassVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest
from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

from datacenters.gateways import public_urls
from gateway.forwarding import UNIX, Proxies, Said

Handler = Callable[[HttpRequest], HttpResponse]


class BehindProxy:
    """Believe of ``X-Forwarded-*`` what a trusted proxy says, by the gateway's own rule.

    What follows finds the client in ``REMOTE_ADDR``, and no such field that others have sent.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response
        self.proxies = Proxies(settings.AEN_TRUSTED_PROXIES)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        meta = request.META
        names = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
        said = Said(*(meta.pop(name, "").strip().encode("latin-1", "replace") for name in names))
        meta.pop("HTTP_FORWARDED", None)
        sender = self.proxies.sender(meta.get("REMOTE_ADDR") or None, said, b"", b"")
        meta["REMOTE_ADDR"] = "" if sender.client == UNIX else sender.client
        if sender.scheme:
            meta["HTTP_X_FORWARDED_PROTO"] = sender.scheme.decode()
        return self.get_response(request)


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


class RefuseNul:
    """No address has a NUL character in it, and not every database takes one."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            raise BadRequest("The address holds a NUL character.")
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """A body may hold one where nothing else looks for it; PostgreSQL does not take it."""
        if isinstance(exception, DataError) and "NUL" in str(exception):
            raise BadRequest("The body holds a NUL character.") from exception


class ApiErrors:
    """Below ``/api/`` every refusal is ``{code, detail}``, also those that Django itself makes."""

    WORDS: ClassVar[dict[int, tuple[str, str]]] = {
        400: ("bad_request", "The request can’t be read."),
        404: ("not_found", "There is nothing here, or you may not see it."),
        405: ("method_not_allowed", "This address takes other methods; see the header Allow."),
        500: ("broken", "The server made a mistake, which is in its log."),
        503: (
            "unavailable",
            "The server can’t use its database. Running apps go on; try again.",
        ),
    }

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or not request.path.startswith("/api/"):
            return response
        if response["Content-Type"].startswith("application/json"):
            return response
        code, detail = self.WORDS.get(response.status_code, ("refused", response.reason_phrase))
        answer = JsonResponse({"code": code, "detail": detail}, status=response.status_code)
        for name in ("Allow", "Retry-After"):
            if name in response:
                answer[name] = response[name]
        return answer


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
