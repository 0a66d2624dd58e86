"""Signing in through the server: OAuth 2, authorization code with PKCE (RFC 6749, 7636).

All state is in the browser, in signed cookies that live for minutes, so that a restarted gateway
finishes a sign-in that the one before it began. The session is the access token itself, opaque,
in ``aen_gateway``.
"""

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import msgspec
from django.core import signing
from msgspec import Struct

from .config import Config
from .forwarding import MAX_SESSIONS, SESSION_COOKIE, Headers, local_path
from .owncookies import OwnCookies

log = logging.getLogger("gateway.signin")

#: Seconds a person may take to sign in.
PENDING_SECONDS = 600
#: Seconds for which somebody who signs out waits for the server.
REVOKE_SECONDS = 3.0
CALLBACK = "/-/callback"
SIGNOUT = "/-/signout"
_PENDING = "aen_signin"
_SALT = "gateway.signin"


class SignInError(Exception):
    """The sign-in cannot be finished; ``str()`` is a sentence for the person.

    ``again``: the fields with which the browser is to be sent to ``next_path``, to begin anew.
    """

    def __init__(self, message: str, next_path: str = "/", again: Headers | None = None) -> None:
        super().__init__(message)
        self.next_path = next_path
        self.again = again


class ServerSilent(Exception):
    """The server could not be reached to finish the sign-in."""


class Token(Struct):
    """The part of the server's token response that is used."""

    access_token: str
    expires_in: int | None = None


class SignIn:
    """Begins and finishes sign-ins for one gateway."""

    def __init__(
        self, config: Config, client: httpx.AsyncClient, credential: Callable[[], str]
    ) -> None:
        self._config = config
        self._client = client
        self._credential = credential
        self._cookies = OwnCookies(config)

    @property
    def _redirect_uri(self) -> str:
        return self._config.own_url + CALLBACK

    @property
    def _auth(self) -> httpx.BasicAuth:
        return httpx.BasicAuth(self._config.gateway_id, self._credential())

    def begin(self, next_path: str, cookies: dict[str, str], place: str) -> tuple[str, Headers]:
        """Return where to send the browser, and the fields that set the pending state.

        ``place``: the path of what one signs in for, for the sign-in page to name. Raises
        ``SignInLoop`` if the browser was just sent there, more than twice.
        """
        rounds = self._cookies.begin_round(cookies)
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        pending = {"state": state, "verifier": verifier, "next": local_path(next_path)}
        held = signing.dumps(pending, salt=_SALT)
        fields = [self._cookies.set(_pending_name(state), held, PENDING_SECONDS, CALLBACK), *rounds]
        query = {
            "response_type": "code",
            "client_id": self._config.gateway_id,
            "redirect_uri": self._redirect_uri,
            "code_challenge": challenge(verifier),
            "code_challenge_method": "S256",
            "state": state,
            "place": local_path(place),
        }
        return f"{self._config.server_public}/oauth/authorize?{urlencode(query)}", fields

    async def finish(self, query: dict[str, str], cookies: dict[str, str]) -> tuple[str, Headers]:
        """Return the path to go on to, and the fields that set the session.

        Raises ``SignInError`` or ``ServerSilent``.
        """
        pending = self._pending(query.get("state", ""), cookies)
        next_path = local_path(pending["next"])
        if "code" not in query:
            raise SignInError(_denied(query.get("error", "")), next_path)
        used = self._cookies.set(_pending_name(pending["state"]), "", 0, CALLBACK)
        again = self._cookies.once_more(cookies)
        token = await self._exchange(
            query["code"], pending["verifier"], next_path, [used, *again] if again else None
        )
        return next_path, [
            self._cookies.set(SESSION_COOKIE, token.access_token, token.expires_in),
            used,
            *self._cookies.end_round(cookies),
        ]

    async def _exchange(
        self, code: str, verifier: str, next_path: str, again: Headers | None
    ) -> Token:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        try:
            answer = await self._client.post("/oauth/token", data=form, auth=self._auth)
        except httpx.HTTPError as error:
            raise ServerSilent(str(error)) from error
        if answer.status_code >= 500:
            raise ServerSilent(f"the server answered {answer.status_code}")
        try:
            token = msgspec.json.decode(answer.content, type=Token)
        except (msgspec.DecodeError, ValueError):
            raise SignInError(
                "The server did not accept the sign-in; it may have taken too long.",
                next_path,
                again,
            ) from None
        if answer.status_code != 200 or not _fits_a_cookie(token.access_token):
            raise SignInError("The server did not accept the sign-in.", next_path)
        return token

    def sign_out(self) -> Headers:
        """Return the fields that take our cookies away."""
        return [self._cookies.set(SESSION_COOKIE, "", 0), self._cookies.forget_rounds()]

    async def revoke(self, sessions: tuple[str, ...]) -> None:
        """End sessions at the server, too (RFC 7009), and so at every gateway process.

        A server that is away keeps them until they expire: the browser has none of them any more.
        """
        for session in sessions[:MAX_SESSIONS]:
            try:
                answer = await self._client.post(
                    "/oauth/revoke",
                    data={"token": session},
                    auth=self._auth,
                    timeout=REVOKE_SECONDS,
                )
                answer.raise_for_status()
            except httpx.HTTPError as error:
                log.warning("A session could not be ended at the server: %s", type(error).__name__)

    def _pending(self, state: str, cookies: dict[str, str]) -> dict[str, str]:
        held = self._cookies.read(cookies, _pending_name(state))
        if not held:
            raise SignInError(
                "This browser did not begin the sign-in, or it took longer than ten minutes,"
                " or the browser keeps no cookies for this address."
            )
        try:
            pending: dict[str, str] = signing.loads(held, salt=_SALT, max_age=PENDING_SECONDS)
        except signing.BadSignature:
            raise SignInError("The sign-in took longer than ten minutes.") from None
        if not hmac.compare_digest(pending["state"], state):
            raise SignInError("This browser did not begin the sign-in.")
        return pending


def challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _pending_name(state: str) -> str:
    # One cookie for each sign-in under way: several tabs may be restored at once.
    return f"{_PENDING}_{hashlib.sha256(state.encode()).hexdigest()[:8]}"


def _denied(error: str) -> str:
    if error == "access_denied":
        return "The server did not let you in."
    return "The server did not finish the sign-in."


def _fits_a_cookie(token: str) -> bool:
    return 0 < len(token) <= 3000 and all(
        0x20 < ord(character) < 0x7F and character not in '",;\\' for character in token
    )
