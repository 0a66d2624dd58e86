"""What requests and WebSockets have in common: a connection to the app, an early end, answers."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..access import ServerAway
from ..answers import framed, own_answer
from ..core import Gateway
from ..forwarding import BadRequest, read_fields, target_of
from ..gate import Admitted
from ..limits.crowd import neighbourhood
from ..limits.turns import LARGE_HEAD
from ..refusals import Scope, TurnedAway
from ..upstream import AppRefused, AppUnreachable, Splice

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Seconds for which an agent that does not answer is tried again: the time it takes to restart.
CONNECT_PATIENCE = 6.0


class ClientGone(Exception):
    """The client ended the connection before it was answered."""


def _client_of(gateway: Gateway, scope: Scope) -> str:
    """Return the address that a request came from, as far as that can be believed."""
    try:
        sent = read_fields(scope["headers"])
    except BadRequest:
        client = scope.get("client")
        return client[0] if client else "unix"
    return gateway.gate.sender(scope, sent).client


async def turn_of_stranger(gateway: Gateway, scope: Scope) -> None:
    """Wait until one may be answered for whom nobody vouches: in each turn one of an address.

    A large head had to wait before it was read; now it would only lie there in pieces.
    """
    if sum(len(name) + len(value) for name, value in scope["headers"]) <= LARGE_HEAD:
        await gateway.limits.strangers.mine(neighbourhood(_client_of(gateway, scope)))


class Passage:
    """What HTTP and WebSocket have in common: admission, a connection, an early end."""

    def __init__(self, gateway: Gateway, scope: Scope) -> None:
        self.gateway = gateway
        self.scope = scope
        self.user = ""
        self._client = ""
        self._task = asyncio.current_task()
        self._ended = ""
        self.finished = False

    def revoke(self) -> None:
        """End now, because the grant is gone."""
        self.end("revoked")

    def end(self, why: str) -> None:
        """End the passage from outside, wherever it waits."""
        if not self._ended and not self.finished and self._task is not None:
            self._ended = why
            self._task.cancel()

    def take_end(self) -> str:
        """Return why the passage was ended, after ``CancelledError``; ``""`` if by another."""
        if self._ended and self._task is not None:
            self._task.uncancel()
        return self._ended

    async def connect(self, admitted: Admitted) -> Splice:
        """Return a new connection to the app, waiting for an agent that restarts."""
        grant = admitted.grant
        deadline = time.monotonic() + CONNECT_PATIENCE
        pause = 0.05
        while True:
            node = self.gateway.tunnel.node(grant.node)
            cause = "The gateway is not connected to the app’s node yet."
            if node is not None:
                try:
                    return await self.gateway.pool.open((grant.node, grant.app_id), node.connect)
                except AppRefused:
                    raise await self._refused(admitted) from None
                except (OSError, TimeoutError):
                    cause = "The app’s node cannot be reached."
            if time.monotonic() + pause > deadline:
                raise AppUnreachable(cause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    async def _refused(self, admitted: Admitted) -> Exception:
        """The node has no such app: what we remember is old, so ask the server what is true."""
        access = self.gateway.access
        access.forget(admitted.question)
        try:
            answer = await access.ask(admitted.question)
        except ServerAway:
            return AppUnreachable("The app is not running on its node.")
        if answer.status == 200:
            return AppUnreachable("The app is not running on its node, or has just ended.")
        path, sender = admitted.path, admitted.sender
        return self.gateway.gate.refusals.not_granted(
            self.scope, sender, path, admitted.question, answer
        )

    async def admit(self) -> Admitted:
        """Return what the request may reach; raises ``TurnedAway``, in turns of its address."""
        try:
            admitted = await self.gateway.gate.admit(self.scope)
        except TurnedAway:
            await turn_of_stranger(self.gateway, self.scope)
            raise
        self.user = admitted.grant.user
        self._client = admitted.sender.client
        return admitted

    @property
    def client(self) -> str:
        """The client's address, for the log."""
        return self._client or _client_of(self.gateway, self.scope)

    def note_as(self, method: str, status: int, seconds: float) -> None:
        """Write down that it is over."""
        what = (method, self.scope["raw_path"])
        self.gateway.note("consumers", (self.client, self.user), what, status, seconds)

    def target(self, strip: bytes) -> bytes:
        """Return what the app is asked for, less the prefix ``strip``."""
        return target_of(self.scope["raw_path"], self.scope["query_string"], strip)


async def send_answer(gateway: Gateway, scope: Scope, send: Send, turned: TurnedAway) -> None:
    """Answer an HTTP request to one of the gateway's own addresses."""
    status, fields, body = own_answer(gateway, scope["headers"], turned)
    if framed(scope["headers"]):
        fields.append((b"connection", b"close"))
    with contextlib.suppress(OSError):
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})
