"""From a sign-in at the gateway to a session at an app, where each app has an origin of its own.

The app's host plays the client, the gateway's bare name the provider, as in OAuth with PKCE: the
app's host begins (``begin``), the gateway's finds the person's session and gives a code that works
once (``give``), and the app's host exchanges it (``finish``). The code is bound to the app and to
the browser that began, and no page ever has it in its address: each step answers with a redirect.

A session at an app is the gateway's session with a seal on it. It opens that app's host alone.
"""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlencode

from django.core import signing
from django.utils.crypto import salted_hmac

from .config import Config
from .forwarding import SESSION_COOKIE, AppPath, Header, Headers, local_path, parse_app_path
from .owncookies import OwnCookies
from .protocol.origins import app_address, label
from .signin import PENDING_SECONDS, SignInError, challenge

ENTER = "/-/enter"
ENTERED = "/-/entered"
#: Seconds in which a code must come back, and codes that may be on their way.
CODE_SECONDS = 60
MAX_CODES = 10_000
#: Characters of a sealed session; the server's own secrets have far fewer.
_LONGEST = 512
_PENDING = "aen_entry"
_SALT = "gateway.entry"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,64}")


class _Code(NamedTuple):
    session: str
    label: str
    challenge: str
    expires: float


class Wanted(NamedTuple):
    """What a browser that came from an app's host asks for: a session at that app."""

    path: AppPath
    state: str
    challenge: str


class Entry:
    """Begins and finishes entries; knows the codes that are on their way."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._cookies = OwnCookies(config)
        self._codes: dict[str, _Code] = {}
        self._is_sealed = lru_cache(4096)(_is_sealed)

    # --- at the app's host -----------------------------------------------------------------------

    def begin(self, here: str, path: AppPath, cookies: dict[str, str]) -> tuple[str, Headers]:
        """Return where to send the browser, and the fields that set the pending state.

        Raises ``SignInLoop`` if it was just sent there, more than twice.
        """
        rounds = self._cookies.begin_round(cookies)
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        pending = {"state": state, "verifier": verifier, "next": local_path(here),
                   "label": label(*path[:3])}  # fmt: skip
        held = signing.dumps(pending, salt=_SALT)
        query = {"place": path.prefix.decode(), "state": state, "challenge": challenge(verifier)}
        fields = [self._cookies.set(_name(state), held, PENDING_SECONDS, ENTERED), *rounds]
        return f"{self._config.own_url}{ENTER}?{urlencode(query)}", fields

    def finish(
        self, query: dict[str, str], cookies: dict[str, str], host_label: str
    ) -> tuple[str, Headers]:
        """Return the path to go on to, and the fields that set the session.

        Raises ``SignInError``; what it is raised for stands in no address that a page could read.
        """
        code = self._take(query.get("code", ""))
        state = query.get("state", "")
        pending = _opened(self._cookies.read(cookies, _name(state)))
        if pending is None or pending["label"] != host_label or pending["state"] != state:
            raise SignInError("This browser did not begin to open the app, or took too long.")
        given = challenge(pending["verifier"])
        if code is None:
            again = self._cookies.once_more(cookies)
            used = self._cookies.set(_name(state), "", 0, ENTERED)
            message = "The sign-in took too long."
            raise SignInError(message, pending["next"], [used, *again] if again else None)
        if (code.label, code.challenge) != (host_label, given):
            raise SignInError("The sign-in took too long.", pending["next"])
        return pending["next"], [
            self._cookies.set(SESSION_COOKIE, seal(code.session, host_label), None),
            self._cookies.set(_name(state), "", 0, ENTERED),
            *self._cookies.end_round(cookies),
        ]

    def sessions(self, values: Iterable[str], host_label: str) -> tuple[str, ...]:
        """Return the gateway's sessions behind the cookies of an app's host; others do not count."""
        found = (value.rpartition(".") for value in values if len(value) <= _LONGEST)
        return tuple(
            session for session, _, mark in found if self._is_sealed(session, mark, host_label)
        )

    def leave(self) -> list[Header]:
        """Return the fields that take the session away from an app's host."""
        return [self._cookies.set(SESSION_COOKIE, "", 0), self._cookies.forget_rounds()]

    # --- at the gateway's own --------------------------------------------------------------------

    @staticmethod
    def wanted(query: dict[str, str]) -> Wanted | None:
        """Return what is asked for; ``None`` if no app's host asked like this."""
        place = query.get("place", "").encode("latin-1", "replace")
        path = parse_app_path(place)
        state, given = query.get("state", ""), query.get("challenge", "")
        if path is None or path.prefix != place:
            return None
        if not (_TOKEN.fullmatch(state) and _TOKEN.fullmatch(given)):
            return None
        return Wanted(path, state, given)

    def give(self, session: str, wanted: Wanted) -> str:
        """Return where to send the browser of ``session``: to the app's host, with a code."""
        now = time.monotonic()
        while self._codes:
            oldest = next(iter(self._codes))
            if self._codes[oldest].expires > now and len(self._codes) < MAX_CODES:
                break
            del self._codes[oldest]
        code = secrets.token_urlsafe(32)
        names = label(*wanted.path[:3])
        self._codes[code] = _Code(session, names, wanted.challenge, now + CODE_SECONDS)
        query = urlencode({"code": code, "state": wanted.state})
        address = app_address(self._config.public_url, wanted.path.prefix.decode())
        return address.removesuffix(wanted.path.prefix.decode()) + f"{ENTERED}?{query}"

    def _take(self, code: str) -> _Code | None:
        found = self._codes.pop(code, None)
        return found if found is not None and found.expires > time.monotonic() else None


def seal(session: str, host_label: str) -> str:
    """Return the cookie by which an app's host knows a session."""
    return f"{session}.{_mark(session, host_label)}"


def _mark(session: str, host_label: str) -> str:
    made = salted_hmac(_SALT, f"{host_label} {session}", algorithm="sha256").digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _is_sealed(session: str, mark: str, host_label: str) -> bool:
    return hmac.compare_digest(_mark(session, host_label).encode(), mark.encode())


def _name(state: str) -> str:
    # One cookie for each entry under way: several tabs may be restored at once.
    return f"{_PENDING}_{challenge(state)[:8]}"


def _opened(held: str) -> dict[str, str] | None:
    try:
        pending: dict[str, str] = signing.loads(held, salt=_SALT, max_age=PENDING_SECONDS)
    except signing.BadSignature:
        return None
    return pending
