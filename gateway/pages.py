"""What the gateway says itself: small pages for people, JSON for programs."""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

import msgspec
from msgspec import Struct

from .forwarding import Header, Headers, header

_PAGE = Template(files("gateway").joinpath("templates/page.html").read_text(encoding="utf-8"))
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'; "
    # Signing out posts here and is sent on to the server; browsers hold redirects to it, too.
    "form-action 'self' {forms}"
)

NOTHING = "There is nothing here, or you may not see it"


class Action(Struct, frozen=True):
    """A way on: a link, or a form post where it changes something."""

    label: str
    url: str
    post: bool = False


class Page(Struct, frozen=True):
    """``retry``: seconds after which the page asks again by itself; 0 never."""

    status: int
    code: str
    title: str
    cause: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    retry: int = 0


def not_running(detail: str, page: str) -> Page:
    return Page(
        409,
        "not_running",
        detail.removesuffix(".") or "This app is not running",
        ("Open it from the project’s page; files are as they were.",),
        (Action("Go to the project", page), Action("Try again", "")),
    )


def starting(detail: str, page: str) -> Page:
    return Page(
        409,
        "starting",
        detail.removesuffix(".") or "This app is starting",
        ("This page opens it as soon as it is ready. The project’s page shows each step.",),
        (Action("Go to the project", page),),
        retry=2,
    )


def forbidden(detail: str, page: str = "") -> Page:
    actions = (Action("Go to the project", page),) if page else ()
    return Page(403, "forbidden", "You may not open this app", (detail,), actions)


def not_found(detail: str = "") -> Page:
    cause = "The address may be wrong, or the project was removed or made private."
    return Page(404, "not_found", detail.removesuffix(".") or NOTHING, (cause,))


def server_away() -> Page:
    return Page(
        503,
        "server_away",
        "The server is away",
        (
            "The gateway cannot ask the server whether you may open this. Running apps go on.",
            "This page tries again by itself.",
        ),
        (Action("Try now", ""),),
        retry=3,
    )


def app_unreachable(detail: str) -> Page:
    return Page(
        502,
        "app_unreachable",
        "The app did not answer",
        (detail, "This page tries again by itself."),
        (Action("Try now", ""),),
        retry=3,
    )


def sign_in(url: str) -> Page:
    return Page(
        401,
        "sign_in",
        "Sign in to open this app",
        ("No one is signed in here, or the session has ended.",),
        (Action("Sign in", url),),
    )


def sign_in_failed(detail: str, url: str) -> Page:
    return Page(
        400, "sign_in_failed", "The sign-in did not finish", (detail,), (Action("Try again", url),)
    )


def sign_in_loop(url: str) -> Page:
    return Page(
        400,
        "sign_in_loop",
        "The sign-in does not hold",
        (
            "You signed in, but the server does not know the session that the browser sent."
            " An old cookie may be in the way.",
            "Clear the session here, then open the app again.",
        ),
        (Action("Clear and start again", url, post=True),),
    )


def too_large(url: str) -> Page:
    return Page(
        431,
        "headers_too_large",
        "The browser sent too many cookies",
        (
            "Apps on this host have set more cookies than can be passed on."
            " The ones that were sent are now cleared.",
        ),
        (Action("Try again", ""), Action("Clear all and sign out", url, post=True)),
    )


def bad_request(detail: str) -> Page:
    return Page(400, "bad_request", "This request cannot be passed on", (detail,))


def misdirected(url: str) -> Page:
    return Page(
        421,
        "unknown_host",
        "This is not an address of the gateway",
        ("Its own is behind the button below; an administrator can add further names.",),
        (Action("Go to the gateway", url),),
    )


def at_another_name(url: str) -> Page:
    return Page(
        421,
        "another_name",
        "This app has a name of its own",
        (f"Its address is {url}",),
        (Action("Go to the app", url),),
    )


def no_such_method() -> Page:
    return Page(
        405,
        "no_such_method",
        "Apps are not asked in this way",
        ("The request has a method that is not passed on.",),
    )


def bad_origin() -> Page:
    return Page(
        403,
        "foreign_origin",
        "This request comes from another site",
        ("Apps only take requests from their own pages. Use an API token to call them.",),
    )


def too_slow() -> Page:
    return Page(
        408,
        "too_slow",
        "The upload stood still",
        ("Too little of it came for too long. Nothing of it may have been kept; send it again.",),
    )


def too_many(detail: str, seconds: int) -> Page:
    return Page(
        429,
        "too_many",
        "Too much at once",
        (detail, "This page tries again by itself."),
        (Action("Try now", ""),),
        retry=seconds,
    )


def failed() -> Page:
    return Page(
        500,
        "gateway_error",
        "The gateway failed",
        ("The cause is in the gateway’s log, for an administrator to read. Running apps go on.",),
        (Action("Try again", ""),),
    )


def wants_html(headers: Headers) -> bool:
    """Return whether a person looks at the answer: a page load rather than a script's call."""
    if header(headers, b"sec-fetch-mode") not in (b"", b"navigate"):
        return False
    return b"text/html" in header(headers, b"accept")


def render(page: Page, *, html: bool, home: str = "", own: str = "") -> tuple[Headers, bytes]:
    """Return the header fields and the body of ``page``.

    ``home`` is the server's address, ``own`` the gateway's where the page is at an app's name.
    """
    body = _html(page, home) if html else _json(page)
    kind = b"text/html; charset=utf-8" if html else b"application/json"
    fields: list[Header] = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"content-security-policy", _POLICY.format(forms=f"{home} {own}".strip()).encode()),
    ]
    if page.retry:
        fields.append((b"retry-after", str(page.retry).encode()))
    if page.status == 401:
        fields.append((b"www-authenticate", b'Bearer realm="AEN"'))
    return fields, body


def _json(page: Page) -> bytes:
    detail = " ".join(part for part in (f"{page.title}.", *page.cause) if part)
    return msgspec.json.encode({"code": page.code, "detail": detail})


def _html(page: Page, home: str) -> bytes:
    refresh = f'<meta http-equiv="refresh" content="{page.retry}">' if page.retry else ""
    return _PAGE.substitute(
        title=escape(page.title),
        refresh=refresh,
        cause="\n".join(f"<p>{escape(part)}</p>" for part in page.cause if part),
        actions=_actions(page.actions or _ways_on(home)),
        status=page.status,
        code=escape(page.code),
        home=escape(home or "/"),
    ).encode()


def _ways_on(home: str) -> tuple[Action, ...]:
    return (Action("Go to your projects", f"{home}/"),) if home else ()


def _actions(actions: Sequence[Action]) -> str:
    each = "\n".join(
        _action(action, "button primary" if number == 0 else "button")
        for number, action in enumerate(actions)
    )
    return f'<div class="actions">\n{each}\n</div>' if actions else ""


def _action(action: Action, css: str) -> str:
    label, url = escape(action.label), escape(action.url)
    if action.post:
        return f'<form method="post" action="{url}"><button class="{css}">{label}</button></form>'
    return f'<a class="{css}" href="{url}">{label}</a>'
