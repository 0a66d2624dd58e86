"""The gateway's own addresses, all under ``/-/``."""

import hmac
import logging
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from channels.consumer import AsyncConsumer

from .. import pages
from ..config import read_secret
from ..core import Gateway
from ..forwarding import bearer_of, cookies_of, header, same_origin
from ..gate import Scope, TurnedAway, plain_cookies
from ..pages import Action, Page
from ..signin import CALLBACK, SIGNOUT, ServerSilent, SignInError
from .passage import Receive, Send, send_answer

log = logging.getLogger("gateway.own")


class OwnConsumer(AsyncConsumer):
    """Health and readiness for machines, callback and sign-out for people."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway: Gateway = scope["state"]["gateway"]
        if scope["raw_path"] in (b"/-/health", b"/-/ready"):
            ready = scope["raw_path"] == b"/-/health" or gateway.tunnel.connected
            await _send_json(send, 200 if ready else 503, _health(gateway))
            return
        if scope["raw_path"] == b"/-/metrics" and _may_count(gateway, scope):
            text = gateway.metrics.text(gateway.access, gateway.pool.traffic())
            await _send(send, 200, b"text/plain; version=0.0.4", text.encode())
            return
        try:
            answer = await _page(gateway, scope)
        except Exception:
            log.exception("%s failed.", scope["raw_path"].decode("ascii", "backslashreplace"))
            answer = TurnedAway(pages.failed())
        await send_answer(gateway, scope, send, answer)


async def _page(gateway: Gateway, scope: Scope) -> TurnedAway:
    path, method = scope["raw_path"].decode("ascii", "replace"), scope["method"]
    if path == CALLBACK and method == "GET":
        return await _callback(gateway, scope)
    if path == SIGNOUT and method in ("GET", "POST"):
        return _sign_out(gateway, scope)
    return TurnedAway(pages.not_found())


def _health(gateway: Gateway) -> dict[str, object]:
    problems = gateway.problems()
    return {"status": "problem" if problems else "ok", "messages": problems}


async def _callback(gateway: Gateway, scope: Scope) -> TurnedAway:
    text = scope["query_string"].decode("ascii", "replace")
    try:
        query = dict(parse_qsl(text, max_num_fields=20))
        location, fields = await gateway.signin.finish(query, plain_cookies(scope["headers"]))
    except SignInError as error:
        return TurnedAway(pages.sign_in_failed(str(error), _again(gateway, error.next_path)))
    except ServerSilent:
        return TurnedAway(pages.server_away())
    except ValueError:
        return TurnedAway(pages.bad_request("The address holds a part that is not allowed."))
    return TurnedAway(location=location, fields=fields)


def _again(gateway: Gateway, next_path: str) -> str:
    return next_path if next_path != "/" else gateway.config.server_public


def _sign_out(gateway: Gateway, scope: Scope) -> TurnedAway:
    """End the session here; another site's link or form cannot do it for the person."""
    headers = scope["headers"]
    foreign = header(headers, b"sec-fetch-site") == b"cross-site"
    origin = header(headers, b"origin")
    if origin:
        ours = same_origin(origin, gateway.config.public_scheme, header(headers, b"host"))
        foreign = foreign or not (ours or origin == gateway.config.public_origin)
    if foreign:
        ask = Page(
            200,
            "sign_out",
            "Sign out of your apps?",
            ("Another site asked for this. Apps go on running.",),
            (Action("Sign out", SIGNOUT, post=True),),
        )
        return TurnedAway(ask)
    gateway.access.revoke_sessions(cookies_of(headers).sessions)
    return TurnedAway(location=gateway.config.server_public + "/", fields=gateway.signin.sign_out())


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
