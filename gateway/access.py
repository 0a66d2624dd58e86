"""May this request pass? The server decides; the answer is remembered for seconds.

``Access`` asks the server once for concurrent requests of one kind, forgets at once what the
server revokes, and ends every stream and WebSocket that was opened under what is revoked.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import httpx
import msgspec

from .protocol import AccessAnswer, AccessQuestion, Grant, Revoke, decode_answer, encode

log = logging.getLogger("gateway.access")

#: Grants remembered at most; the oldest go first.
MAX_REMEMBERED = 20_000
#: Seconds for which a server that was away is not asked about what goes on without it anyway.
NOT_ASKED = 2.0
#: Seconds between two checks of what is open, in case a revocation was lost.
RECHECK = 60.0
#: Seconds that a question may take, also while it waits for others; then the server counts as away.
ASK_PATIENCE = 12.0

#: An answer, and the generation of the memory in which it was asked for.
_Answered = tuple[AccessAnswer, int]
Ask = Callable[[AccessQuestion], Awaitable[AccessAnswer]]


class ServerAway(Exception):
    """The server cannot be asked now; ``str()`` says why, for the log."""


class Open(Protocol):
    """Something that lives under a grant: a response under way, a WebSocket."""

    def revoke(self) -> None:
        """End now."""


class Remembered:
    """A grant, and until when it is good by the monotonic clock; 0.0 once it was dropped."""

    __slots__ = ("expires", "grant")

    def __init__(self, grant: Grant, expires: float) -> None:
        self.grant = grant
        self.expires = expires


def http_ask(client: httpx.AsyncClient, credential: Callable[[], str]) -> Ask:
    """Return the function that asks over wire 1."""

    async def ask(question: AccessQuestion) -> AccessAnswer:
        fields = {"Authorization": f"Bearer {credential()}", "Content-Type": "application/json"}
        try:
            answer = await client.post("/gateway/access", content=encode(question), headers=fields)
        except httpx.HTTPError as error:
            raise ServerAway(str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise ServerAway(f"the server answered {answer.status_code} to an access question")
        try:
            return decode_answer(answer.content)
        except (msgspec.DecodeError, ValueError) as error:
            raise ServerAway(f"the server's answer cannot be read: {error}") from error

    return ask


class Access:
    """The gateway's memory of grants, and what is open under them."""

    def __init__(
        self, ask: Ask, *, max_ttl: float, grace: float, patience: float = ASK_PATIENCE
    ) -> None:
        self._ask = ask
        self._patience = patience
        self._max_ttl = max_ttl
        self._grace = grace
        self._remembered: dict[AccessQuestion, Remembered] = {}
        self._asking: dict[AccessQuestion, asyncio.Task[_Answered]] = {}
        self._open: dict[Open, tuple[AccessQuestion, Grant]] = {}
        self._open_of: dict[str, int] = {}
        self._generation = 0
        #: Called when all answers are forgotten.
        self.on_clear: Callable[[], None] = lambda: None
        self.hits = 0
        self.misses = 0
        self._limit = asyncio.Semaphore(32)
        self._away_until = 0.0

    def known(self, question: AccessQuestion) -> Grant | None:
        """Return the grant if it is remembered and still good; costs no round trip."""
        remembered = self._remembered.get(question)
        return remembered.grant if remembered is not None and self.holds(remembered) else None

    def find(self, question: AccessQuestion) -> Remembered | None:
        """Return what is remembered, good or not; ``holds`` says so, now and later."""
        return self._remembered.get(question)

    def holds(self, remembered: Remembered) -> bool:
        """Return whether the grant is still good."""
        if remembered.expires > time.monotonic():
            self.hits += 1
            return True
        return False

    def was_granted(self, question: AccessQuestion) -> bool:
        """Return whether it was granted lately, though perhaps too long ago to pass."""
        return question in self._remembered

    def lasts(self, question: AccessQuestion, grant: Grant) -> float:
        """Return for how many seconds more the grant is remembered; 0 if it is not."""
        remembered = self._remembered.get(question)
        if remembered is None or remembered.grant != grant:
            return 0.0
        return max(0.0, remembered.expires - time.monotonic())

    async def ask(self, question: AccessQuestion) -> AccessAnswer:
        """Return the server's answer, shared with all who ask the same at the time.

        While the server is away, a grant goes on for the grace time; else raises ``ServerAway``.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await self._agreed(question)
        except TimeoutError:
            return self._within_grace(question, ServerAway("the server did not answer in time"))

    async def _agreed(self, question: AccessQuestion) -> AccessAnswer:
        while True:
            task = self._asking.get(question)
            # One that is done may stand there still: to wait for it would not even let others run.
            if task is None or task.done():
                task = asyncio.create_task(self._fetch(question))
                self._asking[question] = task
                task.add_done_callback(lambda done: self._asked(question, done))
            # One asker that goes away must not take the answer from the others.
            answer, generation = await asyncio.shield(task)
            # An answer given before a revocation arrived may be older than it: ask again.
            if generation == self._generation:
                return answer

    def _asked(self, question: AccessQuestion, task: asyncio.Task[_Answered]) -> None:
        if self._asking.get(question) is task:
            del self._asking[question]
        if not task.cancelled():
            task.exception()  # each asker has seen it

    async def _fetch(self, question: AccessQuestion) -> _Answered:
        self.misses += 1
        generation = self._generation
        # Each question to a server that is away costs seconds, which nothing open should wait for.
        if time.monotonic() < self._away_until and (going_on := self._in_grace(question)):
            return going_on, generation
        try:
            # Of questions that nobody waits for any more none stays before those of others.
            async with asyncio.timeout(self._patience), self._limit:
                generation = self._generation
                answer = await self._ask(question)
        except TimeoutError:
            away = ServerAway("the server did not answer in time")
            return self._within_grace(question, away), generation
        except ServerAway as away:
            self._away_until = time.monotonic() + NOT_ASKED
            return self._within_grace(question, away), generation
        if generation == self._generation:
            if answer.status == 200 and answer.grant is not None:
                self._remember(question, answer.grant, min(answer.ttl, self._max_ttl))
            else:
                self.forget(question)
        return answer, generation

    def _within_grace(self, question: AccessQuestion, away: ServerAway) -> AccessAnswer:
        if (answer := self._in_grace(question)) is None:
            raise away
        return answer

    def _in_grace(self, question: AccessQuestion) -> AccessAnswer | None:
        remembered = self._remembered.get(question)
        if remembered is None or remembered.expires + self._grace < time.monotonic():
            return None
        return AccessAnswer(200, grant=remembered.grant)

    def _remember(self, question: AccessQuestion, grant: Grant, ttl: float) -> None:
        self.forget(question)
        while len(self._remembered) >= MAX_REMEMBERED:
            self.forget(next(iter(self._remembered)))
        self._remembered[question] = Remembered(grant, time.monotonic() + ttl)

    def forget(self, question: AccessQuestion) -> None:
        """Ask the server next time; what is open stays open."""
        remembered = self._remembered.pop(question, None)
        if remembered is not None:
            remembered.expires = 0.0

    # --- what is open ----------------------------------------------------------------------------

    def hold(self, question: AccessQuestion, grant: Grant, thing: Open) -> None:
        """Register ``thing``, opened under ``grant``, to be ended when that is revoked."""
        self._open[thing] = question, grant
        self._open_of[grant.user] = self._open_of.get(grant.user, 0) + 1

    def release(self, thing: Open) -> None:
        """Take ``thing`` off the register; it may be gone already."""
        held = self._open.pop(thing, None)
        if held is None:
            return
        user = held[1].user
        left = self._open_of[user] - 1
        if left:
            self._open_of[user] = left
        else:
            del self._open_of[user]

    @property
    def open_count(self) -> int:
        return len(self._open)

    def open_of(self, user: str) -> int:
        """Return how many answers and sockets of ``user`` are open."""
        return self._open_of.get(user, 0)

    # --- revocation ------------------------------------------------------------------------------

    def revoke(self, message: Revoke) -> int:
        """Drop every grant that the message names; return how many open things it ended."""
        return self._drop(lambda _, grant: getattr(grant, message.field) == message.value)

    def revoke_sessions(self, sessions: tuple[str, ...]) -> int:
        """Drop every grant that was given to one of these session cookies."""
        ended = frozenset(sessions)
        # Anybody may name any session: what is being asked about others need not be asked again.
        asking = any(not ended.isdisjoint(question.sessions) for question in self._asking)
        return self._drop(
            lambda question, _: not ended.isdisjoint(question.sessions), outdated=asking
        )

    def _drop(
        self, matches: Callable[[AccessQuestion, Grant], bool], *, outdated: bool = True
    ) -> int:
        """``outdated``: answers that are under way may be older than this."""
        self._generation += outdated
        for question, remembered in list(self._remembered.items()):
            if matches(question, remembered.grant):
                self.forget(question)
        ended = 0
        for thing, (question, grant) in list(self._open.items()):
            if thing in self._open and matches(question, grant):
                self._end(thing)
                ended += 1
        return ended

    def _end(self, thing: Open) -> None:
        self.release(thing)
        thing.revoke()

    def clear(self) -> None:
        """Forget all answers, because revocations may have been missed."""
        self._generation += 1
        for question in list(self._remembered):
            self.forget(question)
        self.on_clear()

    async def recheck(self) -> None:
        """Ask again for everything open, and end what is no longer granted."""
        questions = {question for question, _ in self._open.values()}
        answers = await asyncio.gather(
            *(self.ask(question) for question in questions), return_exceptions=True
        )
        found = dict(zip(questions, answers, strict=True))
        for thing, (question, grant) in list(self._open.items()):
            answer = found.get(question)
            if not isinstance(answer, AccessAnswer) or thing not in self._open:
                continue
            if answer.grant is None or answer.grant.app_id != grant.app_id:
                self._end(thing)

    async def recheck_forever(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            with contextlib.suppress(ServerAway):
                await self.recheck()
