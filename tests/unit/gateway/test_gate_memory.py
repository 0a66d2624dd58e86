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

FIELDS = [(b"host", b"127.0.0.1"), (b"cookie", b"aen_gateway=s-1")]


def scope(path=b"/mira/work/lab/", method="GET", query=b""):
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
    asyncio.run(found.ask(AccessQuestion("mira", "work", "lab", ("s-1",), None)))
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


def test_the_same_fields_for_the_same_app_pass_again(gate, sent, last, access):
    hits = access.hits
    assert gate.remembered(scope(b"/mira/work/lab/api?1"), sent, last) is last
    assert access.hits == hits + 1


def test_what_was_revoked_passes_no_more(gate, sent, last, access):
    access.revoke(Revoke("app_id", last.admitted.grant.app_id))
    assert gate.remembered(scope(), sent, last) is None


def test_what_was_forgotten_or_is_over_passes_no_more(gate, sent, last, access):
    last.remembered.expires = 1e-9
    assert gate.remembered(scope(), sent, last) is None
    access.clear()
    assert gate.remembered(scope(), sent, last) is None


def test_another_app_is_another_question(gate, sent, last):
    assert gate.remembered(scope(b"/mira/work/notes/"), sent, last) is None


def test_another_method_is_judged_anew(gate, sent, last):
    assert gate.remembered(scope(method="POST"), sent, last) is not last


@pytest.mark.parametrize(
    "path", [b"/mira/work/lab/../x", b"/mira/work/lab/%2e%2e/x", b"/mira/work"]
)
def test_each_address_is_looked_at(gate, sent, last, path):
    assert gate.remembered(scope(path), sent, last) is None


def test_other_fields_are_read_anew(gate, last):
    assert gate.remembered(scope(), read_fields(FIELDS[:1]), last) is None


def test_a_persons_rate_counts_these_requests_too(gate, sent, last):
    passed = [gate.remembered(scope(), sent, last) for _ in range(3)]
    assert passed == [last, last, None]
