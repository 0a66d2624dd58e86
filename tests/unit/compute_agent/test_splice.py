"""Bytes spliced between two real socket pairs."""

import asyncio
import socket

import pytest

from compute_agent.splice import WRITE_LIMIT, Side, Traffic, link


@pytest.fixture
def traffic():
    return Traffic()


@pytest.fixture
async def ends(traffic):
    """The two outer ends of a splice, as (reader, writer) pairs."""
    loop = asyncio.get_running_loop()
    outer, sides = [], []
    for _ in range(2):
        mine, spliced = socket.socketpair()
        outer.append(await asyncio.open_connection(sock=mine))
        _, side = await loop.create_connection(Side, sock=spliced)
        sides.append(side)
    sides[0].traffic = sides[1].traffic = traffic
    sides[0].early = b"early "
    link(*sides)
    yield outer
    for _, writer in outer:
        writer.close()


async def test_bytes_go_both_ways_and_early_ones_first(ends):
    (first, to_first), (second, to_second) = ends
    to_first.write(b"ping")
    assert await second.readexactly(10) == b"early ping"
    to_second.write(b"pong")
    assert await first.readexactly(4) == b"pong"


async def test_bytes_either_way_are_seen(ends, traffic):
    (first, to_first), (second, to_second) = ends
    assert await second.readexactly(6) == b"early "
    assert traffic.take()
    assert not traffic.take()
    for sender, reader in ((to_first, second), (to_second, first)):
        sender.write(b"x")
        await reader.readexactly(1)
        assert traffic.take()


async def test_after_one_half_is_closed_the_other_goes_on(ends):
    (first, to_first), (second, to_second) = ends
    to_first.write(b"question")
    to_first.write_eof()
    assert await second.read() == b"early question"
    to_second.write(b"answer")
    to_second.write_eof()
    assert await first.read() == b"answer"


async def test_a_closed_end_closes_the_other(ends):
    (_, to_first), (second, _) = ends
    to_first.close()
    assert await second.read() == b"early "


async def test_a_reader_that_does_not_read_stops_the_writer(ends):
    """What waits in between is bounded, however much is sent."""
    (_, to_first), (second, _) = ends
    blob = b"x" * (16 * WRITE_LIMIT)
    to_first.write(blob)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(to_first.drain(), 0.3)
    assert await second.readexactly(len(blob) + 6) == b"early " + blob
    await to_first.drain()
