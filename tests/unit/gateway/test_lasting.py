"""One timer for many: who is not done in time is called, who is done is not."""

import asyncio

from gateway.lasting import Lasting


def test_who_lasts_is_called_and_who_is_done_is_not():
    async def tried():
        lasting, called = Lasting(0.005), asyncio.Queue()
        for name in ("long", "short"):
            lasting.add(name, lambda name=name: called.put_nowait(name))
        lasting.done("short")
        first = await asyncio.wait_for(called.get(), 10)
        lasting.add("later", lambda: called.put_nowait("later"))
        lasting.done("long")  # called already: nothing is left of it
        return first, await asyncio.wait_for(called.get(), 10), called.empty()

    assert asyncio.run(tried()) == ("long", "later", True)


def test_without_anybody_there_is_no_timer():
    async def tried():
        lasting, called = Lasting(0.001), asyncio.Event()
        lasting.add(1, called.set)
        await asyncio.wait_for(called.wait(), 10)
        return lasting._timer

    assert asyncio.run(tried()) is None
