"""When passes run: what a launch waits for, and what goes on without it."""

import asyncio
import threading

import pytest

from compute_agent.host.errors import HostError
from compute_agent.host.permissions import Cancelled, Outcome
from compute_agent.passes import Passes
from compute_agent.protocol import ProjectSpec
from compute_agent.specs import Specs

OLD, NEW = (ProjectSpec("mira", "lake", "mira", revision=number) for number in (1, 2))


class Work:
    """A pass whose rest takes until ``finish``, or until it is cancelled."""

    def __init__(self, spec, big):
        self.spec, self.big = spec, big
        self.looked_at = 7
        self.outcome = Outcome(unchanged=7)
        self.began, self.finish = threading.Event(), threading.Event()
        self.error = None
        self.closed = 0

    def first(self, seconds):
        return not self.big

    def rest(self, cancelled):
        self.began.set()
        while not self.finish.wait(0.01):
            if cancelled.is_set():
                raise Cancelled
        if self.error:
            raise self.error
        self.outcome.unchanged = 100

    def close(self):
        self.closed += 1


class Node:
    """The projects of a node of which one is big, and what was told of its passes."""

    def __init__(self, place):
        self.place, self.big, self.made, self.told = place, True, [], []
        self.lock = asyncio.Lock()
        self.passes = self.restarted()

    def restarted(self):
        return Passes(self, Specs(self.place), lambda *what: self.told.append(what))

    def begin_pass(self, spec, known):
        self.made.append(Work(spec, self.big))
        return self.made[-1]

    async def until(self, event):
        assert await asyncio.to_thread(event.wait, 10)

    async def until_told(self, number=1):
        async with asyncio.timeout(10):
            while len(self.told) < number:
                await asyncio.sleep(0.01)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    for work in node.made:
        work.finish.set()


async def test_a_small_project_is_done_before_its_app_starts(node):
    node.big = False
    assert await node.passes.first(OLD) == "7 unchanged"
    assert node.made[0].closed == 1
    assert node.passes.unsettled() == []


async def test_a_launch_does_not_wait_for_the_rest_of_a_big_project(node):
    fact = await node.passes.first(OLD)
    assert fact == "7 entries so far; the rest goes on in the background"
    assert node.told == []
    node.made[0].finish.set()
    await node.until_told()
    assert node.told == [(OLD, "100 unchanged", None, True)]
    assert node.made[0].closed == 1
    assert node.passes.unsettled() == []


async def test_a_second_launch_leaves_the_rest_to_the_first(node):
    await node.passes.first(OLD)
    assert await node.passes.first(OLD) == "7 entries so far; the rest is under way"
    node.made[0].finish.set()
    await node.until_told()
    assert [work.closed for work in node.made] == [1, 1]
    assert not node.made[1].began.is_set()


async def test_a_newer_team_ends_the_pass_of_an_older_one(node):
    await node.passes.first(OLD)
    await node.until(node.made[0].began)
    changed = asyncio.create_task(node.passes.whole(NEW, node.lock))
    while len(node.made) < 2:
        await asyncio.sleep(0.01)
    assert node.made[0].closed == 1
    node.made[1].finish.set()
    await changed
    assert node.told == [(NEW, "100 unchanged", None, True)]


async def test_a_late_launch_applies_the_newer_team(node):
    node.big = False
    await node.passes.first(NEW)
    await node.passes.first(OLD)
    assert node.made[1].spec == NEW


async def test_what_goes_wrong_in_the_background_is_told(node):
    await node.passes.first(OLD)
    node.made[0].error = HostError("The disk failed.")
    node.made[0].finish.set()
    await node.until_told()
    assert node.told[0][2].cause == "The disk failed."
    assert node.passes.unsettled() == [OLD]


async def test_what_goes_wrong_at_once_is_told_too(node, monkeypatch):
    def fail(spec, known):
        raise HostError("There is no account mira.")

    monkeypatch.setattr(node, "begin_pass", fail)
    await node.passes.whole(OLD, node.lock)
    assert node.told[0][2].cause == "There is no account mira."


async def test_a_removed_project_is_left_alone_and_forgotten(node):
    await node.passes.first(NEW)
    await node.until(node.made[0].began)
    await node.passes.end(NEW)
    assert node.made[0].closed == 1
    assert node.told == []
    node.big = False
    await node.passes.first(OLD)
    assert node.made[1].spec == OLD


async def test_an_agent_that_ended_in_a_pass_leaves_it_to_the_next(node):
    await node.passes.first(OLD)
    await node.until(node.made[0].began)
    node.passes.release()
    async with asyncio.timeout(10):
        while not node.made[0].closed:
            await asyncio.sleep(0.01)
    assert node.restarted().unsettled() == [OLD]


# --- what a program changed -----------------------------------------------------------------------


class Parts:
    """Answers a look at places, and takes down whose team it was for."""

    def __init__(self, node, enough):
        self.enough, self.asked = enough, []
        node.secure_parts = self

    def __call__(self, spec, places, seconds):
        self.asked.append((spec, places))
        return self.enough


async def test_where_the_places_are_enough_there_is_no_whole_pass(node):
    parts = Parts(node, enough=True)
    node.big = False
    await node.passes.first(OLD)
    await node.passes.first(NEW)
    await node.passes.again(OLD, frozenset({"a"}), node.lock)
    assert parts.asked == [(NEW, {"a"})]
    assert len(node.made) == 2


@pytest.mark.parametrize("places", [None, frozenset({"a"})])
async def test_where_they_are_not_all_is_looked_at(node, places):
    Parts(node, enough=False)
    node.big = False
    await node.passes.first(OLD)
    await node.passes.again(OLD, places, node.lock)
    assert len(node.made) == 2
    assert len(node.told) == 1


async def test_a_project_that_was_removed_meanwhile_does_not_come_back(node):
    parts = Parts(node, enough=True)
    node.big = False
    await node.passes.first(OLD)
    async with node.lock:
        again = asyncio.create_task(node.passes.again(OLD, frozenset({"a"}), node.lock))
        await node.passes.end(OLD)
    await again
    assert (parts.asked, len(node.made)) == ([], 1)
    assert node.restarted().unsettled() == []
    assert node.passes.known() == {}
