"""The gateway's own addresses, all under ``/-/``."""

import hmac
import logging
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import msgspec
from channels.consumer import AsyncConsumer

from .. import pages
from ..access import ServerAway
from ..config import read_secret
from ..core import Gateway
from ..entry import ENTER, ENTERED
from ..forwarding import (
    MAX_SESSIONS,
    UNIX,
    BadRequest,
    Place,
    Sender,
    Sent,
    bearer_of,
    header,
    local_path,
    read_fields,
    same_origin,
)
from ..metrics import links, process
from ..pages import Action, Page
from ..protocol import AccessQuestion
from ..refusals import Scope, TurnedAway, plain_cookies
from ..signin import CALLBACK, SIGNOUT, ServerSilent, SignInError
from .passage import Receive, Send, send_answer, turn_of_stranger

log = logging.getLogger("gateway.own")


class OwnConsumer(AsyncConsumer):
    """Health and readiness for machines, callback and sign-out for people."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway: Gateway = scope["state"]["gateway"]
        await turn_of_stranger(gateway, scope)
        if scope["raw_path"] in (b"/-/health", b"/-/ready"):
            ready = scope["raw_path"] == b"/-/health" or gateway.tunnel.connected
            await _send_json(send, 200 if ready else 503, _health(gateway, scope))
            return
        if scope["raw_path"] == b"/-/metrics" and _may_count(gateway, scope):
            text = gateway.metrics.text(gateway.access, gateway.pool.traffic(), gateway.limits)
            nodes = [(node.address.name, node.up) for node in gateway.tunnel.nodes.values()]
            text += links(server=gateway.tunnel.connected, nodes=nodes)
            text += process(gateway.pool.open_count)
            text += await gateway.plane.metrics() if gateway.plane is not None else ""
            await _send(send, 200, b"text/plain; version=0.0.4", text.encode())
            return
        try:
            answer = await _answer(gateway, scope)
        except TurnedAway as turned:
            answer = turned
        except BadRequest as error:
            answer = TurnedAway(pages.bad_request(str(error)))
        except Exception:
            log.exception("%s failed.", scope["raw_path"].decode("ascii", "backslashreplace"))
            answer = TurnedAway(pages.failed())
        if answer.page is None:  # pages have a policy of their own
            answer.fields.append((b"referrer-policy", b"no-referrer"))
        await send_answer(gateway, scope, send, answer)


class _Visit(NamedTuple):
    """A request to one of our addresses: what it holds, from whom, and at which name."""

    scope: Scope
    sent: Sent
    sender: Sender
    place: Place

    @property
    def query(self) -> dict[str, str]:
        """Raises ``BadRequest``."""
        text = self.scope["query_string"].decode("ascii", "replace")
        try:
            return dict(parse_qsl(text, max_num_fields=20))
        except ValueError:
            raise BadRequest("The address holds a part that is not allowed.") from None

    @property
    def cookies(self) -> dict[str, str]:
        return plain_cookies(self.scope["headers"])


async def _answer(gateway: Gateway, scope: Scope) -> TurnedAway:
    path, method = scope["raw_path"].decode("ascii", "replace"), scope["method"]
    sent = read_fields(scope["headers"])
    sender = gateway.gate.sender(scope, sent)
    visit = _Visit(scope, sent, sender, gateway.gate.place(sender))
    if visit.place.label:
        if path == ENTERED and method == "GET":
            return _entered(gateway, visit)
        if path == SIGNOUT and method in ("GET", "POST"):
            # The session is the gateway's: what is left to do and to ask is done there.
            leave = gateway.entry.leave()
            return TurnedAway(location=gateway.config.own_url + SIGNOUT, fields=leave)
    elif path == CALLBACK and method == "GET":
        return await _callback(gateway, visit)
    elif path == SIGNOUT and method in ("GET", "POST"):
        return await _sign_out(gateway, visit)
    elif path == ENTER and method == "GET" and gateway.config.has_origins:
        return await _enter(gateway, visit)
    return TurnedAway(pages.not_found())


def _health(gateway: Gateway, scope: Scope) -> dict[str, object]:
    problems = gateway.problems(causes=_is_insider(gateway, scope))
    return {"status": "problem" if problems else "ok", "messages": problems}


def _is_insider(gateway: Gateway, scope: Scope) -> bool:
    """Return whether the request comes from this machine, as far as anybody believed says."""
    try:
        client = gateway.gate.sender(scope, read_fields(scope["headers"])).client
        return client == UNIX or ip_address(client).is_loopback
    except (BadRequest, ValueError):
        return False


async def _callback(gateway: Gateway, visit: _Visit) -> TurnedAway:
    gateway.gate.check_address(visit.sender)  # each asks the server
    try:
        location, fields = await gateway.signin.finish(visit.query, visit.cookies)
    except SignInError as error:
        gateway.limits.turned_away(visit.sender.client)
        if error.again is not None:
            return TurnedAway(location=error.next_path, fields=error.again)
        return TurnedAway(pages.sign_in_failed(str(error), _again(gateway, error.next_path)))
    except ServerSilent:
        return TurnedAway(pages.server_away())
    return TurnedAway(location=location, fields=fields)


def _again(gateway: Gateway, next_path: str) -> str:
    return next_path if next_path != "/" else gateway.config.server_public


# --- apps with origins of their own --------------------------------------------------------------


async def _enter(gateway: Gateway, visit: _Visit) -> TurnedAway:
    """Send a browser that is signed in here on to the app's host, with a code."""
    wanted = gateway.entry.wanted(visit.query)
    if wanted is None:
        return TurnedAway(pages.bad_request("No app asks for a sign-in like this."))
    if visit.sent.foreign:  # in a frame, say, where nobody sees what is opened
        return TurnedAway(pages.bad_origin())
    owner, project, app, _ = wanted.path
    for session in gateway.gate.sessions(visit.sent, visit.place)[:MAX_SESSIONS]:
        try:
            status = await _asked(gateway, visit, AccessQuestion(owner, project, app, (session,)))
        except ServerAway:
            return TurnedAway(pages.server_away())
        if status != 401:  # what else there is to say, the app's host says
            return TurnedAway(location=gateway.entry.give(session, wanted))
    here = f"{ENTER}?{visit.scope['query_string'].decode('ascii', 'replace')}"
    return gateway.gate.refusals.to_server(here, visit.sender, wanted.path, visit.cookies)


async def _asked(gateway: Gateway, visit: _Visit, question: AccessQuestion) -> int:
    """Return with what status the server answers; anybody can have it asked about any session."""
    if gateway.access.known(question) is not None:
        return 200
    if not gateway.access.was_granted(question):
        gateway.gate.check_address(visit.sender)
    answer = await gateway.access.ask(question)
    if answer.status not in (200, 409):  # an app that does not run is not their doing
        gateway.limits.turned_away(visit.sender.client)
    return answer.status


def _entered(gateway: Gateway, visit: _Visit) -> TurnedAway:
    """Exchange a code. No page comes of an address with one: the app's own could read it there."""
    query = visit.query
    if "code" not in query:
        next_path = local_path(query.get("next", "/"))
        cause = "It was not begun in this browser, or took too long."
        return TurnedAway(pages.sign_in_failed(cause, _again(gateway, next_path)))
    try:
        location, fields = gateway.entry.finish(query, visit.cookies, visit.place.label)
    except SignInError as error:
        if error.again is not None:
            return TurnedAway(location=error.next_path, fields=error.again)
        return TurnedAway(location=f"{ENTERED}?{urlencode({'next': error.next_path})}")
    return TurnedAway(location=location, fields=fields)


# --- leaving -------------------------------------------------------------------------------------


async def _sign_out(gateway: Gateway, visit: _Visit) -> TurnedAway:
    """End the session, here and at the server; another page's link or form cannot do it."""
    if _is_asked_elsewhere(gateway, visit):
        ask = Page(
            200,
            "sign_out",
            "Sign out of your apps?",
            ("Another page asked for this. Apps go on running.",),
            (Action("Sign out", SIGNOUT, post=True),),
        )
        return TurnedAway(ask)
    sessions = gateway.gate.sessions(visit.sent, visit.place)
    if sessions:
        gateway.gate.check_address(
            visit.sender
        )  # the server is told of each, also of invented ones
        gateway.limits.turned_away(visit.sender.client)
    gateway.access.revoke_sessions(sessions)
    await gateway.signin.revoke(sessions)
    return TurnedAway(location=gateway.config.server_public + "/", fields=gateway.signin.sign_out())


def _is_asked_elsewhere(gateway: Gateway, visit: _Visit) -> bool:
    headers, config = visit.scope["headers"], gateway.config
    if header(headers, b"sec-fetch-site") in (b"cross-site", b"same-site"):
        return True
    origin = visit.sent.origin
    if not origin:
        # Without a word from the browser, only a form of our own is taken for the person's wish.
        return (
            config.has_origins
            and visit.scope["method"] == "GET"
            and not header(headers, b"sec-fetch-site")
        )
    ours = same_origin(origin, config.public_scheme, visit.sender.host)
    return not ours and origin != config.public_origin


def _may_count(gateway: Gateway, scope: Scope) -> bool:
    """Return whether the request shows the secret that ``metrics_token_file`` names."""
    path = gateway.config.metrics_token_file
    if path is None:
        return False
    shown = bearer_of(scope["headers"]) or ""
    return hmac.compare_digest(shown.encode(), read_secret(path).encode())


async def _send_json(send: Send, status: int, content: Any) -> None:
    await _send(send, status, b"application/json", msgspec.json.encode(content))


async def _send(send: Send, status: int, kind: bytes, body: bytes) -> None:
    fields = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
