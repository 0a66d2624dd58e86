"""When a project that was touched is set right, and how much of it at once."""

import asyncio

from compute_agent.watching import Healing, by_project


class Slow:
    """Healing that waits to be let go on, so that more can be touched meanwhile."""

    def __init__(self, *known):
        self.asked = []
        self.begun = asyncio.Queue()
        self.go_on = asyncio.Semaphore(0)
        self.healing = Healing(self._heal, lambda: known)

    async def _heal(self, project, places):
        self.asked.append((project, places))
        await self.begun.put(project)
        await self.go_on.acquire()


async def test_what_is_touched_while_a_project_is_set_right_is_seen_to_afterwards():
    slow = Slow(("mira", "demo"))
    slow.healing.touched({("mira", "demo"): frozenset({"a"})})
    await slow.begun.get()
    for name in "bcb":
        slow.healing.touched({("mira", "demo"): frozenset({name})})
    slow.go_on.release()
    await slow.begun.get()
    slow.go_on.release()
    assert [places for _, places in slow.asked] == [{"a"}, {"b", "c"}]


async def test_a_project_that_could_not_be_set_right_is_tried_again_when_it_is_touched():
    failing = iter([OSError("a bad disk"), None])
    done = asyncio.Event()

    async def heal(project, places):
        if error := next(failing):
            raise error
        done.set()

    healing = Healing(heal, lambda: [("mira", "demo")])
    while not done.is_set():
        healing.touched({("mira", "demo"): frozenset({"a"})})
        await asyncio.sleep(0)


async def test_many_places_are_one_whole():
    slow = Slow(("mira", "demo"))
    slow.healing.touched({("mira", "demo"): frozenset(map(str, range(1000)))})
    await slow.begun.get()
    slow.go_on.release()
    assert slow.asked == [(("mira", "demo"), None)]


def test_places_beside_projects_are_left_out():
    paths = ["", "mira", "mira/demo", "mira/demo/a/b", "mira/.demo.1234.gone/x", ".hidden/x/y"]
    assert by_project(paths) == {("mira", "demo"): {"", "a/b"}}
