"""Wire 1 from the server's side."""

import asyncio
import base64
import hashlib
import secrets
from urllib.parse import parse_qs, parse_qsl

import httpx
from fake_parts import GATEWAY_ID, NODE_ID, begin_answer, read_body, reject, reply, send_chunk

from gateway.protocol import (
    AccessAnswer,
    Grant,
    NodeAddress,
    Welcome,
    decode_from_gateway,
    decode_question,
    encode,
)


class FakeServer:
    """Wire 1's server side, and a sign-in page that lets everyone in."""

    def __init__(self, credential: str) -> None:
        self.credential = credential
        self.sessions: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.apps: dict[tuple[str, str, str], str] = {}
        self.owners: dict[tuple[str, str, str], str] = {}
        self.node_of: dict[tuple[str, str, str], str] = {}  # where it is not the usual one
        self.statuses: dict[tuple[str, str, str], int] = {}
        self.starting: set[tuple[str, str, str]] = set()
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[object] = []
        self.received: list[object] = []
        self.away = False
        self.ttl = 30.0
        self.nodes: tuple[NodeAddress, ...] = ()
        self.wires: list[asyncio.Queue] = []
        self.answering: asyncio.Event | None = None
        #: Who is signed in at the server, in whatever browser comes.
        self.person = ""

    async def __call__(self, scope, receive, send) -> None:
        if self.away:
            await reply(send, 503, {"detail": "away"})
            return
        headers = dict(scope["headers"])
        path = scope["path"]
        if path == "/oauth/token":
            await self._token(headers, receive, send)
        elif path == "/oauth/revoke":
            await self._revoke(headers, receive, send)
        elif path == "/oauth/authorize" and self.person:
            back, asked = self.authorize("?" + scope["query_string"].decode(), self.person)
            location = f"{asked['redirect_uri']}?{back}".encode()
            await begin_answer(send, 302, [(b"location", location)])
            await send_chunk(send, b"", last=True)
        elif path in ("/", "/oauth/authorize"):
            await reply(send, 200, {"page": path})
        elif headers.get(b"authorization") != f"Bearer {self.credential}".encode():
            await (reply(send, 401, {}) if scope["type"] == "http" else reject(send))
        elif path == "/gateway/wire":
            await self._wire(receive, send)
        elif path == "/gateway/access":
            await self._access(receive, send)

    async def _access(self, receive, send) -> None:
        question = decode_question(await read_body(receive))
        self.asked.append(question)
        answer = self._answer(question)
        if self.answering is not None:
            await self.answering.wait()
        await reply(send, 200, answer)

    def _answer(self, question) -> AccessAnswer:
        user, session, token = None, None, None
        if question.bearer is not None:
            user, token = self.tokens.get(question.bearer), question.bearer
        else:
            session = next((one for one in question.sessions if one in self.sessions), None)
            user = self.sessions.get(session)
        if user is None:
            return AccessAnswer(401, detail="Sign in to open this app.")
        key = (question.owner, question.project, question.app)
        if self.owners.get(key) != user:
            return AccessAnswer(404, detail="There is nothing here, or you may not see it.")
        status = self.statuses.get(key, 200)
        page = f"/{question.owner}/{question.project}"
        if status != 200:
            starting = key in self.starting
            what = f"{question.app} is {'starting' if starting else 'not running'}."
            return AccessAnswer(status, detail=what, page=page, starting=starting)
        # Ids as the server has them: of rows, not the secrets.
        session = f"id-{session}" if session else None
        token = f"id-{token}" if token else None
        node = self.node_of.get(key, NODE_ID)
        grant = Grant(self.apps[key], node, user, question.project, session, token)
        return AccessAnswer(200, ttl=self.ttl, grant=grant, page=page)

    async def _token(self, headers, receive, send) -> None:
        form = dict(parse_qsl((await read_body(receive)).decode()))
        code = self.codes.pop(form.get("code", ""), None)
        if not self._is_client(headers):
            await reply(send, 401, {"error": "invalid_client"})
        elif code is None or not _fits(code, form):
            await reply(send, 400, {"error": "invalid_grant"})
        else:
            session = secrets.token_urlsafe(16)
            self.sessions[session] = code["user"]
            token = {"access_token": session, "token_type": "Bearer", "expires_in": 3600}
            await reply(send, 200, token)

    async def _revoke(self, headers, receive, send) -> None:
        form = dict(parse_qsl((await read_body(receive)).decode()))
        if self._is_client(headers):
            self.sessions.pop(form["token"], None)
        await reply(send, 200 if self._is_client(headers) else 401, {})

    def _is_client(self, headers) -> bool:
        basic = httpx.BasicAuth(GATEWAY_ID, self.credential)
        wanted = next(basic.auth_flow(httpx.Request("GET", "http://x"))).headers["authorization"]
        return headers.get(b"authorization", b"").decode() == wanted

    def authorize(self, location: str, user: str) -> tuple[str, dict[str, str]]:
        """Be the person at the sign-in page: return the callback's query, and what was asked."""
        query = {key: values[0] for key, values in parse_qs(location.partition("?")[2]).items()}
        code = secrets.token_urlsafe(8)
        self.codes[code] = query | {"user": user}
        return f"code={code}&state={query['state']}", query

    async def _wire(self, receive, send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        queue: asyncio.Queue = asyncio.Queue()
        self.wires.append(queue)
        sender = asyncio.create_task(self._send_all(queue, send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                event = decode_from_gateway(message["text"])
                self.received.append(event)
                if type(event).__name__ == "Hello":
                    queue.put_nowait(Welcome(self.nodes))
        finally:
            self.wires.remove(queue)
            sender.cancel()

    async def _send_all(self, queue, send) -> None:
        while True:
            await send({"type": "websocket.send", "text": encode(await queue.get()).decode()})

    async def say(self, message) -> None:
        for queue in self.wires:
            queue.put_nowait(message)


def _fits(code, form) -> bool:
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return challenge == code["code_challenge"] and form["redirect_uri"] == code["redirect_uri"]
