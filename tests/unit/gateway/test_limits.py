"""The gateway's limits by themselves: rates, turns of the loop, connections by address."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import Limits, Over, Settings, Turns
from gateway.limits.crowd import Crowd, neighbourhood
from gateway.limits.rate import KEPT, Rate


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


# --- rates ---------------------------------------------------------------------------------------


def test_a_burst_passes_and_then_the_rate(clock):
    rate = Rate(10, 20, clock)
    assert [rate.take("mira") for _ in range(20)] == [0.0] * 20
    assert rate.take("mira") == pytest.approx(0.1)
    clock.now += 0.1
    assert rate.take("mira") == 0.0
    assert rate.take("otto") == 0.0


@given(st.lists(st.floats(0, 3), max_size=60))
def test_no_more_pass_than_the_burst_and_the_rate_allow(pauses):
    clock = Clock()
    rate, passed, began = Rate(4, 8, clock), 0, clock.now
    for pause in pauses:
        clock.now += pause
        passed += not rate.take("mira")
        assert passed <= 8 + 4 * (clock.now - began) + 1e-6


def test_a_rate_of_nothing_limits_nothing(clock):
    rate = Rate(0, 0, clock)
    assert not any(rate.take("mira") for _ in range(1000))


def test_what_is_remembered_of_many_is_bounded(clock):
    rate = Rate(1, 1, clock)
    for number in range(KEPT + 100):
        rate.spend(str(number))
    assert len(rate._until) <= KEPT


# --- people and addresses ------------------------------------------------------------------------


def test_a_person_with_too_much_open_is_told_so(clock):
    limits = Limits(Settings(person_open=2), clock)
    limits.person("mira", 1)
    with pytest.raises(Over, match="2 answers and sockets of yours are open") as over:
        limits.person("mira", 2)
    assert over.value.seconds >= 1
    limits.person("otto", 0)


def test_a_person_who_asks_too_often_is_told_when_to_come_back(clock):
    limits = Limits(Settings(person_rate=1), clock)
    for _ in range(4):
        limits.person("mira", 0)
    with pytest.raises(Over) as over:
        limits.person("mira", 0)
    clock.now += over.value.seconds
    limits.person("mira", 0)


def test_an_address_is_held_to_what_is_turned_away_only(clock):
    limits = Limits(Settings(address_rate=1), clock)
    for _ in range(100):
        limits.address("192.0.2.1")  # whoever is let in costs it nothing
    for _ in range(5):
        limits.turned_away("192.0.2.1")
    with pytest.raises(Over):
        limits.address("192.0.2.1")
    limits.address("192.0.2.2")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_one_client_is_an_address_or_a_network_of_the_sixth_version(one, other, same):
    assert (neighbourhood(one) == neighbourhood(other)) is same


def test_an_address_has_its_connections_and_no_more_until_some_close(clock):
    there = Counter()
    crowd = Crowd(2, there.elements, clock)
    assert crowd.admits("192.0.2.1") and crowd.admits("192.0.2.1")
    there["192.0.2.1"] = 3  # the one that comes counts, too
    clock.now += 2
    assert not crowd.admits("192.0.2.1")
    assert crowd.admits("192.0.2.2")
    there["192.0.2.1"] = 2
    clock.now += 2
    assert crowd.admits("192.0.2.1")


def test_a_network_of_ipv6_counts_as_one_address_for_connections_too(clock):
    there = [f"2001:db8::{number}" for number in range(3)]  # with the one that comes
    crowd = Crowd(2, lambda: there, clock)
    assert crowd.admits(there[0]) and crowd.admits(there[1])
    clock.now += 2
    assert not crowd.admits(there[2])
    assert crowd.admits("2001:db8:0:1::1")


@pytest.mark.parametrize("here", ["127.0.0.1", "::1", "", "unix"])
def test_a_proxy_on_this_host_may_have_any_number(clock, here):
    crowd = Crowd(1, lambda: [], clock)
    assert all(crowd.admits(here) for _ in range(100))


# --- turns of the loop ---------------------------------------------------------------------------


async def test_in_one_turn_everybody_has_a_share_and_the_rest_waits_its_turn(clock):
    turns, order = Turns(2, clock), []
    for number in range(7):
        if turns.take("mira"):
            order.append(f"m{number}")
        else:
            turns.wait("mira", lambda number=number: order.append(f"m{number}"))
    assert turns.take("otto")
    order.append("o")
    assert order == ["m0", "m1", "o"]
    assert (turns.waiting, turns.delayed) == (5, 5)
    await asyncio.sleep(0)
    assert order[3:] == ["m2", "m3"]
    assert turns.take("otto")
    for _ in range(3):
        await asyncio.sleep(0)
    assert order[3:] == [f"m{number}" for number in range(2, 7)]
    assert turns.waiting == 0


async def test_nobody_overtakes_their_own(clock):
    turns, order = Turns(1, clock), []

    async def work(number):
        await turns.mine("mira")
        order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(work(number))
    assert order == list(range(20))


async def test_who_went_away_while_waiting_holds_up_nobody(clock):
    turns, order = Turns(1, clock), []

    async def work(number):
        await turns.mine("mira")
        order.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(5)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert order == [0, 1, 3, 4]
