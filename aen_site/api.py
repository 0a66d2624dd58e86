"""The REST API: its routers, who may call it, and how it refuses."""

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth

from accounts import tokens
from accounts.errors import ActionError
from accounts.models import User
from projects.api import router as projects
from projects.environments_api import router as environments
from projects.permissions_api import router as permissions

from .health import is_insider, messages, public_messages


class Token(HttpBearer):
    """``Authorization: Bearer`` with a token of scope ``api``."""

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        row = tokens.find(token, "api")
        if row is None:
            return None
        request.user = row.user
        return row.user


class WebSession(SessionAuth):
    """The session of the pages, with CSRF protection."""

    def __call__(self, request: HttpRequest) -> User | None:
        # Whoever is not signed in is told so, before anything is said of CSRF.
        return super().__call__(request) if request.user.is_authenticated else None

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return request.user if request.user.is_authenticated else None


class JsonBody(Parser):
    """JSON as it may be stored: half a surrogate pair is text that no database takes."""

    def parse_body(self, request: HttpRequest) -> Any:
        body = json.loads(request.body)
        json.dumps(body, ensure_ascii=False).encode()  # raises ``UnicodeEncodeError``
        return body


api = NinjaAPI(
    title="AEN",
    version="1",
    description="Projects, teams and apps. Errors are {code, detail}.",
    auth=[Token(), WebSession()],
    docs_url=None,  # its page would load from elsewhere
    parser=JsonBody(),
)
api.add_router("/projects", projects, tags=["projects"])
api.add_router("/projects", environments, tags=["environments"])
api.add_router("/projects", permissions, tags=["permissions"])


class Health(Schema):
    status: str
    messages: list[str]


@api.get("/health", auth=None, response=Health, tags=["site"])
def health(request: HttpRequest) -> dict[str, Any]:
    """Say whether all parts work; each message names one that does not, to administrators with why."""
    found = messages() if is_insider(request) else public_messages()
    return {"status": "problem" if found else "ok", "messages": found}


def _refuse(request: HttpRequest, status: int, code: str, detail: str, **more: Any) -> HttpResponse:
    return api.create_response(request, {"code": code, "detail": detail, **more}, status=status)


_HTTP_ERRORS = {
    400: ("bad_request", "The body can’t be read. It has to be JSON in UTF-8."),
    403: ("forbidden", "The CSRF token is missing or not right. Scripts send a token instead: "
                       "Authorization: Bearer …"),
}  # fmt: skip


@api.exception_handler(ActionError)
def _action_error(request: HttpRequest, error: ActionError) -> HttpResponse:
    field = {"field": error.field} if error.field else {}
    return _refuse(request, error.status, error.code, error.detail, **field)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _refuse(request, 404, "not_found", "There is nothing here, or you may not see it.")


@api.exception_handler(AuthenticationError)
def _not_signed_in(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
    return _refuse(
        request, 401, "not_signed_in", "Sign in, or send a token: Authorization: Bearer …"
    )


@api.exception_handler(ValidationError)
def _bad_input(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    field = str(first["loc"][-1])
    return _refuse(request, 422, "invalid", f"{field}: {first['msg']}", field=field)


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _refuse(request, 413, "too_large", "The body is larger than 1 MB.")


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code, detail = _HTTP_ERRORS.get(error.status_code, ("refused", str(error)))
    return _refuse(request, error.status_code, code, detail)
