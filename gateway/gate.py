"""The gate: from a request to the app it may reach, or to the answer it gets instead."""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from . import pages
from .access import Access, Remembered, ServerAway
from .clearing import clearing
from .config import Config
from .entry import Entry
from .forwarding import (
    MAX_HEADER_BYTES,
    MAX_SESSIONS,
    AppPath,
    BadRequest,
    Header,
    Hosts,
    Place,
    Proxies,
    Sender,
    Sent,
    check_path,
    parse_app_path,
    read_fields,
    same_origin,
    split_query,
)
from .forwarding.request import KEPT, KEPT_BYTES
from .forwarding.sender import UNIX
from .limits import Limits, Over
from .limits.crowd import neighbourhood
from .protocol import AccessQuestion, Grant
from .protocol.origins import label
from .refusals import Refusals, Scope, TurnedAway, query_of, too_many
from .signin import SIGNOUT, SignIn

# TRACE gives back what our cookies are stripped from, CONNECT asks for a way to anywhere.
_NOT_FOR_APPS = frozenset(("TRACE", "CONNECT"))
# An app that does not run and a server that is away say nothing about who asks.
_NOT_THEIR_DOING = frozenset((409, 503))
_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


class Admitted(NamedTuple):
    """A request that may pass: from whom to which app, on which question it was granted what."""

    path: AppPath
    sent: Sent
    sender: Sender
    question: AccessQuestion
    grant: Grant


class Passed:
    """By what a request passed, for the next one of its connection that is like it.

    ``key``: the app's connections. ``told``: it came by HAProxy, which is told of what may pass.
    ``fields``: what its fields became for an app that wants ``inject``; its user keeps it here.
    """

    __slots__ = ("admitted", "fields", "inject", "key", "method", "remembered", "told")

    def __init__(
        self, method: str, admitted: Admitted, remembered: Remembered, *, told: bool
    ) -> None:
        self.method = method
        self.admitted = admitted
        self.remembered = remembered
        self.key = admitted.grant.node, admitted.grant.app_id
        self.told = told
        self.inject: tuple[Header, ...] | None = None
        self.fields = b""


class Gate:
    """Decides about requests for apps, without doing anything to them."""

    def __init__(
        self, config: Config, access: Access, signin: SignIn, entry: Entry, limits: Limits
    ) -> None:
        self._config = config
        self._access = access
        self._entry = entry
        self.refusals = Refusals(config, signin, entry)
        self._secure = config.public_scheme == b"https"
        self._origins = config.has_origins
        #: Where a neighbour may set cookies for all names.
        self.domain = (urlsplit(config.own_url).hostname or "").encode() if self._origins else b""
        self._limits = limits
        # Only HAProxy can open the socket that it hands requests on by.
        ours = (UNIX,) if config.haproxy is not None else ()
        self._proxies = Proxies((*config.trusted_proxies, *ours))
        self.trusts = self._proxies.trusts
        self._place_of = Hosts(config.public_url, config.names).place
        self._recent: dict[tuple[Sent, str], Passed] = {}
        #: Told of what came by HAProxy and may pass.
        self.on_admitted: Callable[[Admitted], None] | None = None

    def sender(self, scope: Scope, sent: Sent) -> Sender:
        """Return who sent a request, as far as that can be believed."""
        client = scope["client"]
        peer = client[0] if client else None
        return self._proxies.sender(peer, sent.said, sent.host, self._config.public_scheme)

    def place(self, sender: Sender) -> Place:
        """Return what the name stands for by which the gateway is asked; raises ``TurnedAway``."""
        place = self._place_of(sender.host)
        if not place.known:
            raise TurnedAway(pages.misdirected(self._config.own_url))
        return place

    def sessions(self, sent: Sent, place: Place) -> tuple[str, ...]:
        """Return the sessions that the browser shows at this place, as the server knows them."""
        values = sent.cookies.host_sessions if self._secure else sent.cookies.sessions
        return self._entry.sessions(values, place.label) if place.label and values else values

    async def admit(self, scope: Scope) -> Admitted:
        """Return what the request may reach; raises ``TurnedAway``."""
        try:
            return await self._admit(scope)
        except TurnedAway as turned:
            if isinstance(turned.__cause__, Over):
                self._limits.refused[turned.__cause__.name] += 1
            raise

    async def _admit(self, scope: Scope) -> Admitted:
        if scope["http_version"] not in ("1.0", "1.1"):
            raise TurnedAway(pages.bad_request("The request is of no version that is spoken here."))
        try:
            sent = read_fields(scope["headers"])
        except BadRequest as error:
            raise TurnedAway(pages.bad_request(str(error))) from error
        again = self._again(scope, sent)
        if again is not None:
            return again
        sender = self.sender(scope, sent)
        place = self.place(sender)
        path = self._path(scope, place)
        question = self._question(scope, path, sent, place)
        grant = self._access.known(question) or await self._asked(scope, sender, path, question)
        return self._admitted(scope, Admitted(path, sent, sender, question, grant))

    def _again(self, scope: Scope, sent: Sent) -> Admitted | None:
        """Return what is remembered of a client's requests with these very fields, as most are."""
        if scope["type"] != "http" or sent.size > KEPT_BYTES:
            return None
        client = scope["client"]
        key = sent, client[0] if client else ""
        last = self._recent.pop(key, None)
        if last is None or not self.passes_again(last, scope["method"], scope["raw_path"], sent):
            last = self.remembered(scope, sent)
            if last is None:
                return None
        self._recent[key] = last
        if len(self._recent) > KEPT:
            del self._recent[next(iter(self._recent))]
        return last.admitted

    def passes_again(self, last: Passed, method: str, raw_path: bytes, sent: Sent) -> bool:
        """Return whether a request passes by what the one before it on its connection passed by.

        So it does where method, fields and app are the same. The rest of its address, the grant and
        the limits are looked at each time. If not, ``remembered`` may still say otherwise.
        """
        admitted = last.admitted
        if (
            admitted.sent is not sent
            or last.method != method
            # This names the same app, and says where it is to be asked for.
            or not raw_path.startswith(admitted.path.prefix)
            # Else the query may hold a token, and it alone.
            or (sent.bearer is None and not admitted.question.sessions)
        ):
            return False
        try:
            check_path(raw_path)
            if not self._access.holds(last.remembered):
                return False
            self._note(admitted, told=last.told)
        except (BadRequest, TurnedAway):
            return False
        return True

    def remembered(self, scope: Scope, sent: Sent) -> Passed | None:
        """Return what the request may reach if no one must be asked; ``None`` is for ``admit``."""
        try:
            return self._looked_up(scope, sent)
        except TurnedAway:
            return None

    def _looked_up(self, scope: Scope, sent: Sent) -> Passed | None:
        sender = self.sender(scope, sent)
        place = self.place(sender)
        path = self._path(scope, place)
        question = self._question(scope, path, sent, place)
        found = self._access.find(question)
        if found is None or not self._access.holds(found):
            return None
        admitted = Admitted(path, sent, sender, question, found.grant)
        self._admitted(scope, admitted)
        return Passed(scope["method"], admitted, found, told=self._told(scope))

    def _admitted(self, scope: Scope, admitted: Admitted) -> Admitted:
        if admitted.grant.token is None or admitted.question.bearer is None:
            self._check_origin(scope, admitted.sent, admitted.sender)
        self._note(admitted, told=self._told(scope))
        return admitted

    def _told(self, scope: Scope) -> bool:
        """Return whether the request came by HAProxy, which alone has no address."""
        return self.on_admitted is not None and scope["client"] is None

    def _note(self, admitted: Admitted, *, told: bool) -> None:
        """Count a request of a person's; raises ``TurnedAway`` where it is one too many."""
        user = admitted.grant.user
        try:
            self._limits.person(user, self._access.open_of(user))
        except Over as over:
            raise too_many(over) from over
        if told and self.on_admitted is not None:
            self.on_admitted(admitted)

    def _path(self, scope: Scope, place: Place) -> AppPath:
        """Return the app that is asked for."""
        raw: bytes = scope["raw_path"]
        if scope.get("method") in _NOT_FOR_APPS:
            raise TurnedAway(pages.no_such_method())
        path = parse_app_path(raw)
        if path is None:
            raise self.refusals.elsewhere(raw, place)
        try:
            check_path(raw)
        except BadRequest as error:
            raise TurnedAway(pages.bad_request(str(error))) from error
        if self._origins and place.label != label(*path[:3]):
            raise self.refusals.at_another_name(scope, path)
        if len(raw) < len(path.prefix):
            raise TurnedAway(location=path.prefix.decode() + query_of(scope))
        return path

    async def _asked(
        self, scope: Scope, sender: Sender, path: AppPath, question: AccessQuestion
    ) -> Grant:
        """Ask the server, unless too many questions of that address were refused."""
        if not self._access.was_granted(question):
            self.check_address(sender)
            await self._limits.strangers.mine(neighbourhood(sender.client))
        try:
            return await self._ask(scope, sender, path, question)
        except TurnedAway as turned:
            if turned.page is None or turned.page.status not in _NOT_THEIR_DOING:
                self._limits.turned_away(sender.client)
            raise

    def check_address(self, sender: Sender) -> None:
        """Raise ``TurnedAway`` if too many requests from there were turned away lately."""
        try:
            self._limits.address(sender.client)
        except Over as over:
            raise too_many(over) from over

    async def _ask(
        self, scope: Scope, sender: Sender, path: AppPath, question: AccessQuestion
    ) -> Grant:
        if not question.sessions and question.bearer is None:
            raise self.refusals.sign_in(scope, sender, path, "")
        try:
            answer = await self._access.ask(question)
        except ServerAway:
            raise TurnedAway(pages.server_away()) from None
        if answer.status == 200 and answer.grant is not None:
            return answer.grant
        raise self.refusals.not_granted(scope, sender, path, question, answer)

    def _question(self, scope: Scope, path: AppPath, sent: Sent, place: Place) -> AccessQuestion:
        """Return what to ask about the request; raises ``TurnedAway`` if its fields are too large."""
        sessions, bearer = self.sessions(sent, place), sent.bearer
        shown = sent.cookies.host_sessions if self._secure else sent.cookies.sessions
        if sent.size > MAX_HEADER_BYTES or len(shown) > MAX_SESSIONS:
            fields = clearing(sent.headers, path.prefix, self.domain)
            raise TurnedAway(pages.too_large(SIGNOUT), fields=fields)
        if bearer is None and not sessions:
            bearer, _ = split_query(scope["query_string"])
        return AccessQuestion(path.owner, path.project, path.app, sessions, bearer)

    def _check_origin(self, scope: Scope, sent: Sent, sender: Sender) -> None:
        """Refuse what another site's page does with a person's cookie (security case 1)."""
        if sent.foreign:
            raise TurnedAway(pages.bad_origin())
        if scope["type"] == "http" and (scope["method"] in _SAFE_METHODS or not sent.origin):
            return
        if not self._origins and sent.origin == self._config.public_origin:
            return
        if not same_origin(sent.origin, self._config.public_scheme, sender.host):
            raise TurnedAway(pages.bad_origin())
