"""What is said to requests that do not pass: a page, or the way to where they may."""

from collections.abc import Mapping
from typing import Any

from . import pages
from .config import Config
from .entry import Entry
from .forwarding import AppPath, Headers, Place, Sender, is_project_path
from .limits import Over
from .owncookies import SignInLoop
from .pages import Page
from .protocol import AccessAnswer, AccessQuestion
from .protocol.origins import app_address, path_of
from .signin import SIGNOUT, SignIn

Scope = Mapping[str, Any]


class TurnedAway(Exception):
    """The request is answered here: with ``page``, or by a redirect to ``location``."""

    def __init__(
        self, page: Page | None = None, location: str = "", fields: Headers | None = None
    ) -> None:
        super().__init__(page.code if page else "redirect")
        self.page = page
        self.location = location
        self.fields: Headers = fields or []


class Refusals:
    """Makes the answers; decides about nothing."""

    def __init__(self, config: Config, signin: SignIn, entry: Entry) -> None:
        self._config = config
        self._signin = signin
        self._entry = entry

    def at_another_name(self, scope: Scope, path: AppPath) -> TurnedAway:
        """A page load goes on to the app's own name; anything else must be sent there by itself."""
        rest = scope["raw_path"].decode("ascii")[len(path.prefix) :]
        here = path.prefix.decode() + rest + query_of(scope)
        url = app_address(self._config.public_url, here)
        if _is_page_load(scope):
            return TurnedAway(location=url)
        return TurnedAway(pages.at_another_name(url))

    def elsewhere(self, raw: bytes, place: Place) -> TurnedAway:
        """Return what to say to an address that names no app."""
        app = path_of(place.label) if raw == b"/" and place.label else None
        if app is not None:
            return TurnedAway(location=app)
        if raw == b"/" or is_project_path(raw):
            return TurnedAway(location=self._config.server_public + raw.decode("ascii"))
        return TurnedAway(pages.not_found())

    def not_granted(
        self,
        scope: Scope,
        sender: Sender,
        path: AppPath,
        question: AccessQuestion,
        answer: AccessAnswer,
    ) -> TurnedAway:
        """Return what to say to a request that the server did not grant."""
        if answer.status == 401 and question.bearer is None:
            return self.sign_in(scope, sender, path, answer.detail)
        if answer.status == 401:
            detail = answer.detail or "The token is not known, or has ended."
            return TurnedAway(Page(401, "bad_token", "The token is not accepted", (detail,)))
        if answer.status == 403:
            return TurnedAway(pages.forbidden(answer.detail, self._project_page(answer.page)))
        if answer.status == 409:
            page = pages.starting if answer.starting else pages.not_running
            return TurnedAway(page(answer.detail, self._project_page(answer.page)))
        return TurnedAway(pages.not_found(answer.detail))

    def _project_page(self, page: str) -> str:
        if page.startswith(("http://", "https://")):
            return page
        return self._config.server_public + (page if page.startswith("/") else "/")

    def sign_in(self, scope: Scope, sender: Sender, path: AppPath, detail: str) -> TurnedAway:
        """A page load goes to sign in; a script's call is told so."""
        here = scope["raw_path"].decode("ascii") + query_of(scope)
        if scope["type"] != "http" or not pages.wants_html(scope["headers"]):
            return TurnedAway(Page(401, "signed_out", "No one is signed in", (detail,)))
        if scope["method"] != "GET":
            return TurnedAway(pages.sign_in(here))
        cookies = plain_cookies(scope["headers"])
        try:
            if self._config.has_origins:
                location, fields = self._entry.begin(here, path, cookies)
                return TurnedAway(location=location, fields=fields)
        except SignInLoop:
            return TurnedAway(pages.sign_in_loop(SIGNOUT))
        return self.to_server(here, sender, path, cookies)

    def to_server(
        self, here: str, sender: Sender, path: AppPath, cookies: dict[str, str]
    ) -> TurnedAway:
        """Send the browser to the server to sign in, and back to ``here`` at the gateway's own name."""
        if not _is_public_host(self._config, sender.host):
            # The pending state would be set for another host than the one that comes back.
            return TurnedAway(location=self._config.own_url + here)
        try:
            location, fields = self._signin.begin(here, cookies, path.prefix.decode())
        except SignInLoop:
            return TurnedAway(pages.sign_in_loop(SIGNOUT))
        return TurnedAway(location=location, fields=fields)


def too_many(over: Over) -> TurnedAway:
    """Return what to say to who is over a limit."""
    return TurnedAway(pages.too_many(str(over), over.seconds))


def _is_page_load(scope: Scope) -> bool:
    wanted = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return wanted and pages.wants_html(scope["headers"])


def _is_public_host(config: Config, host: bytes) -> bool:
    """Return whether the browser came by the gateway's public name."""
    default = b":443" if config.public_scheme == b"https" else b":80"
    name = host.lower().removesuffix(default)
    return not host or config.public_origin == config.public_scheme + b"://" + name


def plain_cookies(headers: Headers) -> dict[str, str]:
    """Return all cookies of a request, the first of each name."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name == b"cookie":
            for part in value.decode("latin-1").split(";"):
                key, _, content = part.strip().partition("=")
                found.setdefault(key, content)
    return found


def query_of(scope: Scope) -> str:
    """Return the query with its question mark, nothing where there is none."""
    query: bytes = scope.get("query_string", b"")
    return "?" + query.decode("ascii", "ignore") if query else ""
