"""What messages under way hold is counted by person, and nothing is left of it at the end."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import Limits, Settings
from gateway.limits.holding import NAME, Holding
from gateway.sockets import _Waiting

HOLDS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), max_size=60)


@pytest.fixture
def holding():
    return Holding(100, Counter())


def test_sockets_of_one_person_share_and_others_do_not(holding):
    first, second, other = holding.held("mira"), holding.held("mira"), holding.held("otto")
    assert first.holds(60)
    assert not second.holds(60)
    assert other.holds(100)


def test_who_lets_go_makes_room(holding):
    first, second = holding.held("mira"), holding.held("mira")
    first.holds(100)
    assert not second.holds(1)
    assert first.holds(99)
    assert second.holds(1)


def test_to_hold_less_is_never_too_much(holding):
    held = holding.held("mira")
    held.holds(300)
    assert held.holds(200)
    assert not held.holds(201)


def test_a_limit_of_nothing_limits_nothing():
    held = Limits(Settings(person_message_bytes=0)).messages.held("mira")
    assert held.holds(2**60)


def test_a_refusal_is_counted_and_names_the_setting_in_what_fits_a_frame():
    limits = Limits(Settings(person_message_bytes=2**62))
    reason = limits.messages.held("mira").refuse()
    assert NAME in reason and NAME in Settings.__struct_fields__
    assert len(reason.encode()) <= 123
    assert limits.refused == {NAME: 1}


@given(HOLDS)
def test_the_account_is_the_sum_of_what_is_held_and_nothing_at_the_end(steps):
    holding = Holding(0, Counter())
    helds = [holding.held("mira" if number % 2 else "otto") for number in range(6)]
    for number, size in steps:
        helds[number].holds(size)
        assert holding.of("mira") == sum(held.size for held in helds[1::2])
        assert holding.total == sum(held.size for held in helds)
    for held in helds:
        held.holds(0)
    assert (holding.total, holding.of("mira"), holding._of) == (0, 0, {})


def test_a_message_waits_on_the_account_until_the_next_is_asked_for():
    queue = _Waiting()
    for message in ({"bytes": b"x" * 1000}, {"text": "é" * 1000}):
        queue.put_nowait({"type": "websocket.receive"} | message)
    queue.put_nowait({"type": "websocket.disconnect"})
    whole = queue.size
    assert whole > 2000
    queue.get_nowait()
    assert queue.size == whole
    queue.passed_on()
    assert 1000 < queue.size < whole - 1000


@given(st.lists(st.sampled_from(["put", "get", "passed on", "drop"]), max_size=40))
def test_a_queue_that_is_empty_and_done_holds_nothing(steps):
    queue = _Waiting()
    for step in steps:
        if step == "put":
            queue.put_nowait({"type": "websocket.receive", "bytes": b"x" * 10})
        elif step == "get" and not queue.empty():
            queue.get_nowait()
        elif step == "passed on":
            queue.passed_on()
        elif step == "drop":
            queue.drop()
        assert queue.size >= 0
    queue.drop()
    queue.passed_on()
    assert queue.size == 0
