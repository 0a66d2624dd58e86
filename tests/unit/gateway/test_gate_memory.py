"""What a connection's last request passed by counts for the next only as long as it is true."""

import asyncio

import pytest

from gateway.access import Access
from gateway.config import Config
from gateway.entry import Entry
from gateway.forwarding import read_fields
from gateway.gate import Gate
from gateway.limits import Limits, Settings
from gateway.limits.limits import BURST_SECONDS
from gateway.protocol import AccessAnswer, AccessQuestion, Grant, Revoke
from gateway.refusals import TurnedAway

FIELDS = [(b"host", b"127.0.0.1"), (b"cookie", b"aen_gateway=s-1")]


def scope(path=b"/mira/study/lab/", method="GET", query=b""):
    return {
        "type": "http", "method": method, "raw_path": path, "query_string": query, "headers": FIELDS,
        "client": ("127.0.0.1", 5),
    }  # fmt: skip


@pytest.fixture
def access():
    async def ask(question):
        given = dict.fromkeys(Grant.__struct_fields__, "a") | {"app_id": "a", "token": None}
        return AccessAnswer(200, grant=Grant(**given), ttl=60)

    found = Access(ask, max_ttl=60, grace=60)
    asyncio.run(found.ask(AccessQuestion("mira", "study", "lab", ("s-1",), None)))
    return found


@pytest.fixture
def gate(access):
    local = "http://127.0.0.1:1"
    config = Config("0" * 32, local, local, local, "", "")
    return Gate(
        config, access, None, Entry(config), Limits(Settings(person_rate=3 / BURST_SECONDS))
    )


@pytest.fixture
def sent():
    return read_fields(FIELDS)


@pytest.fixture
def last(gate, sent):
    return gate.remembered(scope(), sent)


@pytest.fixture
def passes(gate, sent, last):
    """Whether a request passes by what the last one passed by, and whether it passes at all."""

    def ask(path=b"/mira/study/lab/", method="GET", fields=sent):
        again = gate.passes_again(last, method, path, fields)
        return again, again or gate.remembered(scope(path, method), fields) is not None

    return ask


def test_the_same_fields_for_the_same_app_pass_again(passes, access, last):
    hits = access.hits
    assert passes(b"/mira/study/lab/api/kernels") == (True, True)
    assert access.hits == hits + 1


def test_what_was_revoked_passes_no_more(passes, last, access):
    access.revoke(Revoke("app_id", last.admitted.grant.app_id))
    assert passes() == (False, False)


def test_what_was_forgotten_or_is_over_passes_no_more(passes, last, access):
    last.remembered.expires = 1e-9
    assert passes() == (False, False)
    access.clear()
    assert passes() == (False, False)


def test_what_is_granted_anew_passes_by_the_new_grant(gate, sent, passes, access, last):
    access.clear()
    asyncio.run(access.ask(last.admitted.question))
    assert passes() == (False, True)
    assert gate.remembered(scope(), sent).remembered is not last.remembered


def test_another_app_is_another_question(passes):
    assert passes(b"/mira/study/notes/") == (False, False)
    assert passes(b"/mira/study/lab2/") == (False, False)


def test_another_method_is_judged_anew(passes):
    assert passes(method="POST") == (False, True)
    assert passes(method="TRACE") == (False, False)


def test_what_only_a_token_in_the_query_lets_pass_is_asked_each_time(gate, access):
    asyncio.run(access.ask(AccessQuestion("mira", "study", "lab", (), "aen_1")))
    nobody = read_fields(FIELDS[:1])
    last = gate.remembered(scope(query=b"token=aen_1"), nobody)
    assert last is not None
    assert not gate.passes_again(last, "GET", b"/mira/study/lab/", nobody)
    assert gate.remembered(scope(query=b"token=aen_2"), nobody) is None


@pytest.mark.parametrize(
    "path",
    [b"/mira/study/lab/../x", b"/mira/study/lab/%2e%2e/x", b"/mira/study", b"/mira/study/lab"],
)
def test_each_address_is_looked_at(passes, path):
    assert passes(path) == (False, False)


def test_other_fields_are_read_anew(passes):
    assert passes(fields=read_fields(FIELDS[:1])) == (False, False)
    assert passes(fields=read_fields([*FIELDS, (b"accept", b"*/*")])) == (False, True)


def test_a_persons_rate_counts_these_requests_too(passes):
    assert [passes() for _ in range(3)] == [(True, True), (True, True), (False, False)]


def test_another_connection_of_the_same_client_passes_by_the_same(gate, access):
    first = asyncio.run(gate.admit(scope() | {"http_version": "1.1"}))
    again = asyncio.run(gate.admit(scope(b"/mira/study/lab/api") | {"http_version": "1.1"}))
    assert again is first
    access.revoke(Revoke("app_id", first.grant.app_id))
    asked = access.misses
    asyncio.run(gate.admit(scope() | {"http_version": "1.1"}))
    assert access.misses == asked + 1


def test_another_client_is_not_taken_for_the_one_before(gate):
    one = asyncio.run(gate.admit(scope() | {"http_version": "1.1"}))
    other = asyncio.run(gate.admit(scope() | {"http_version": "1.1", "client": ("127.0.0.2", 5)}))
    assert (one.sender.client, other.sender.client) == ("127.0.0.1", "127.0.0.2")


def test_a_websocket_of_another_site_is_refused_though_the_page_just_passed(gate):
    foreign = [*FIELDS, (b"origin", b"https://foreign.example")]
    page = scope() | {"http_version": "1.1", "headers": foreign}
    asyncio.run(gate.admit(page))
    with pytest.raises(TurnedAway):
        asyncio.run(gate.admit(page | {"type": "websocket"}))
