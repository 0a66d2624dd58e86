"""Access that ends while 1,000 WebSockets and hundreds of answers are open under it.

``make bench ARGS=revocation`` says how long it takes.
"""

import asyncio
import contextlib

import pytest
from fake_haproxy import ABSENT

from tests.bench.gateway_revocation import CAUSES, one_round
from tests.bench.gateway_stage import stage

pytestmark = pytest.mark.row(2)


WAYS = {"express": {}, "consumers": {"express": False}, "haproxy": {"haproxy": True}}


@pytest.mark.parametrize("way", WAYS)
def test_a_thousand_websockets_are_closed_and_no_new_one_opens(way):
    """After each kind of end; a thousand where it is the session's, else a hundred."""
    if way == "haproxy" and ABSENT:
        pytest.skip(ABSENT)
    with stage(**WAYS[way]) as site:
        for cause in CAUSES:
            count = 1000 if cause == "a sign-out" else 100
            seconds, refused = one_round(site, count, cause)
            assert refused, cause
            assert seconds < 30  # a deadline, not a measure


def test_hundreds_of_answers_under_way_are_cut_off(site):
    opened = site.granted()

    async def hold(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        lines = [f"GET {opened.prefix}gated?{number} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"Cookie: aen_gateway={opened.session}", "", ""]
        writer.write("\r\n".join(lines).encode())
        await reader.readuntil(b"data: one\n\n")
        return reader, writer

    async def run():
        held = await asyncio.gather(*(hold(number) for number in range(300)))
        await asyncio.to_thread(site.revoke, "user", opened.owner)
        async with asyncio.timeout(30):
            for reader, writer in held:
                with contextlib.suppress(ConnectionResetError):
                    assert b"data: two" not in await reader.read()
                writer.close()

    asyncio.run(run())
