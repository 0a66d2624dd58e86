"""The gateway's memory of grants: coalescing, grace, revocation."""

import asyncio

import pytest

from gateway.access import Access, ServerAway
from gateway.protocol import AccessAnswer, AccessQuestion, Grant, Revoke

QUESTION = AccessQuestion("mira", "forecast", "lab", ("s",))
GRANT = Grant("app-1", "node-1", "user-1", "project-1", "session-1")


class Server:
    """Answers as told, when told."""

    def __init__(self, answer=None):
        self.answer = answer or AccessAnswer(200, ttl=30, grant=GRANT)
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, question):
        self.asked += 1
        answer = self.answer
        await self.may_answer.wait()
        if answer is None:
            raise ServerAway("away")
        return answer


class Thing:
    revoked = False

    def revoke(self):
        self.revoked = True


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def access(server):
    return Access(server, max_ttl=60, grace=60)


async def test_a_grant_is_remembered(access):
    assert access.known(QUESTION) is None
    assert (await access.ask(QUESTION)).grant == GRANT
    assert access.known(QUESTION) == GRANT


async def test_a_server_that_does_not_answer_is_away_after_a_while(server):
    server.may_answer.clear()
    access = Access(server, max_ttl=60, grace=60, patience=0.05)
    with pytest.raises(ServerAway, match="did not answer in time"):
        await access.ask(QUESTION)
    await nothing_is_asked(access)
    server.may_answer.set()
    assert (await access.ask(QUESTION)).grant == GRANT


async def nothing_is_asked(access):
    async with asyncio.timeout(15):
        while access._asking:
            await asyncio.sleep(0.001)


async def test_questions_that_wait_behind_others_have_an_end_too(server):
    server.may_answer.clear()
    access = Access(server, max_ttl=60, grace=60, patience=0.05)
    many = [AccessQuestion("mira", "forecast", "lab", (str(number),)) for number in range(200)]
    answers = await asyncio.gather(*(access.ask(one) for one in many), return_exceptions=True)
    assert {type(answer) for answer in answers} == {ServerAway}
    assert server.asked < 100
    await nothing_is_asked(access)
    server.may_answer.set()
    assert (await access.ask(many[-1])).grant == GRANT


async def test_who_asks_between_an_answer_and_its_end_after_a_revocation_asks_anew(access):
    """The question is answered, but not yet off the list; waiting for it would never give way."""
    others = []

    async def revoke_and_ask():
        access.clear()
        return await access.ask(QUESTION)

    async def answer(question):
        if not others:
            others.append(asyncio.create_task(revoke_and_ask()))  # comes next, before the end
        return AccessAnswer(200, ttl=30, grant=GRANT)

    access._ask = answer
    assert (await access.ask(QUESTION)).grant == GRANT
    assert (await others[0]).grant == GRANT


async def test_who_signs_out_of_invented_sessions_makes_nobody_ask_again(access, server):
    server.may_answer.clear()
    asking = asyncio.create_task(access.ask(QUESTION))
    while not server.asked:
        await asyncio.sleep(0)
    access.revoke_sessions(("invented",))
    server.may_answer.set()
    assert (await asking).grant == GRANT
    assert server.asked == 1


async def test_who_signs_out_while_asked_about_is_asked_about_again(access, server):
    server.may_answer.clear()
    asking = asyncio.create_task(access.ask(QUESTION))
    while not server.asked:
        await asyncio.sleep(0)
    access.revoke_sessions(QUESTION.sessions)
    server.may_answer.set()
    await asking
    assert server.asked == 2


async def test_revocations_without_end_do_not_keep_a_question_for_ever(server):
    access = Access(server, max_ttl=60, grace=0, patience=0.05)

    async def answer(question):
        access.clear()  # as if something was revoked while the server thought
        await asyncio.sleep(0)
        return AccessAnswer(200, ttl=30, grant=GRANT)

    access._ask = answer
    with pytest.raises(ServerAway):
        await access.ask(QUESTION)


@pytest.mark.parametrize(
    "other",
    [
        AccessQuestion("mira", "forecast", "lab", ("s", "s2")),
        AccessQuestion("mira", "forecast", "lab", ("s2", "s")),
        AccessQuestion("mira", "forecast", "lab", ("s",), "token"),
        AccessQuestion("mira", "forecast", "notebook", ("s",)),
        AccessQuestion("mira", "other", "lab", ("s",)),
    ],
)
async def test_it_counts_for_that_question_only(access, other):
    await access.ask(QUESTION)
    assert access.known(other) is None


@pytest.mark.parametrize("status", [401, 403, 404, 409])
async def test_a_no_is_not_remembered(access, server, status):
    server.answer = AccessAnswer(status)
    await access.ask(QUESTION)
    server.answer = AccessAnswer(200, ttl=30, grant=GRANT)
    assert (await access.ask(QUESTION)).status == 200


async def test_a_no_ends_what_was_remembered(access, server):
    await access.ask(QUESTION)
    server.answer = AccessAnswer(404)
    await access.ask(QUESTION)
    assert access.known(QUESTION) is None


async def test_the_server_does_not_decide_alone_how_long(server):
    access = Access(server, max_ttl=0, grace=0)
    await access.ask(QUESTION)
    assert access.known(QUESTION) is None


async def test_many_who_ask_at_once_cost_one_question(access, server):
    server.may_answer.clear()
    asking = [asyncio.create_task(access.ask(QUESTION)) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking[0].cancel()
    server.may_answer.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {answer.status for answer in answers[1:]} == {200}
    assert server.asked == 1


async def test_while_the_server_is_away_a_grant_goes_on_for_the_grace_time(server):
    access = Access(server, max_ttl=0, grace=60)
    await access.ask(QUESTION)
    server.answer = None
    assert (await access.ask(QUESTION)).grant == GRANT


async def test_a_server_that_is_away_is_not_asked_for_each_request_that_goes_on(server):
    access = Access(server, max_ttl=0, grace=60)
    await access.ask(QUESTION)
    server.answer = None
    for _ in range(5):
        assert (await access.ask(QUESTION)).grant == GRANT
    assert server.asked == 2
    access.clear()  # as when the server is there again
    with pytest.raises(ServerAway):
        await access.ask(QUESTION)
    assert server.asked == 3


async def test_without_grace_or_grant_the_server_is_away(access, server):
    server.answer = None
    with pytest.raises(ServerAway):
        await access.ask(QUESTION)
    with pytest.raises(ServerAway):
        await access.ask(QUESTION)
    assert server.asked == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("app_id", "app-1"), ("user", "user-1"), ("project", "project-1"), ("session", "session-1")],
)
async def test_a_revocation_drops_the_grant_and_ends_what_it_opened(access, field, value):
    thing = Thing()
    await access.ask(QUESTION)
    access.hold(QUESTION, GRANT, thing)
    assert access.revoke(Revoke(field, value)) == 1
    assert thing.revoked
    assert access.known(QUESTION) is None
    assert access.open_count == 0


async def test_a_revocation_of_something_else_changes_nothing(access):
    thing = Thing()
    await access.ask(QUESTION)
    access.hold(QUESTION, GRANT, thing)
    assert access.revoke(Revoke("user", "user-2")) == 0
    assert not thing.revoked
    assert access.known(QUESTION) == GRANT


async def test_an_answer_that_is_older_than_a_revocation_does_not_count(access, server):
    server.may_answer.clear()
    asking = asyncio.create_task(access.ask(QUESTION))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert server.asked == 1
    access.revoke(Revoke("user", "user-1"))
    server.answer = AccessAnswer(404)
    server.may_answer.set()
    assert (await asking).status == 404
    assert access.known(QUESTION) is None


async def test_what_was_released_is_not_ended(access):
    thing = Thing()
    access.hold(QUESTION, GRANT, thing)
    access.release(thing)
    access.release(thing)
    access.revoke(Revoke("user", "user-1"))
    assert not thing.revoked


async def test_a_recheck_ends_what_is_no_longer_granted(access, server):
    kept, ended = Thing(), Thing()
    access.hold(QUESTION, GRANT, kept)
    await access.recheck()
    assert not kept.revoked
    access.hold(QUESTION, GRANT, ended)
    server.answer = AccessAnswer(401)
    await access.recheck()
    assert kept.revoked
    assert ended.revoked


async def test_a_recheck_ends_what_belongs_to_a_former_instance(access, server):
    thing = Thing()
    access.hold(QUESTION, Grant("app-0", "node-1", "user-1", "project-1"), thing)
    await access.recheck()
    assert thing.revoked


async def test_a_recheck_while_the_server_is_away_ends_nothing(access, server):
    thing = Thing()
    access.hold(QUESTION, GRANT, thing)
    server.answer = None
    await access.recheck()
    assert not thing.revoked


async def test_the_memory_is_bounded(access, monkeypatch):
    monkeypatch.setattr("gateway.access.MAX_REMEMBERED", 3)
    questions = [AccessQuestion("mira", "forecast", "lab", (str(number),)) for number in range(5)]
    for question in questions:
        await access.ask(question)
    assert [access.known(question) is not None for question in questions] == [0, 0, 1, 1, 1]
