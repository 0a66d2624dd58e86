"""The gateway's own addresses, all under ``/-/``."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from channels.consumer import AsyncConsumer

from .. import pages
from ..core import Gateway
from ..forwarding import cookies_of, header, same_origin
from ..gate import Scope, TurnedAway, plain_cookies
from ..pages import Action, Page
from ..signin import CALLBACK, SIGNOUT, ServerSilent, SignInError
from .passage import Receive, Send, send_answer


class OwnConsumer(AsyncConsumer):
    """Health and readiness for machines, callback and sign-out for people."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gateway: Gateway = scope["state"]["gateway"]
        path: bytes = scope["raw_path"]
        if path == b"/-/health":
            await _send_json(send, 200, _health(gateway))
        elif path == b"/-/ready":
            await _send_json(send, 200 if gateway.tunnel.connected else 503, _health(gateway))
        elif path == CALLBACK.encode() and scope["method"] == "GET":
            await send_answer(gateway, scope, send, await _callback(gateway, scope))
        elif path == SIGNOUT.encode() and scope["method"] in ("GET", "POST"):
            await send_answer(gateway, scope, send, _sign_out(gateway, scope))
        else:
            await send_answer(gateway, scope, send, TurnedAway(pages.not_found()))


def _health(gateway: Gateway) -> dict[str, object]:
    problems = gateway.problems()
    return {"status": "problem" if problems else "ok", "messages": problems}


async def _callback(gateway: Gateway, scope: Scope) -> TurnedAway:
    query = dict(parse_qsl(scope["query_string"].decode("ascii", "replace"), max_num_fields=20))
    try:
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
        public = gateway.config.public_origin
        foreign = foreign or not same_origin(origin, header(headers, b"host"), public)
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


async def _send_json(send: Send, status: int, content: Any) -> None:
    body = msgspec.json.encode(content)
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
