"""How long 1,000 WebSockets stay open after the server has said that their access has ended.

From the word on the wire until the last browser has seen the end of its connection; then each way is
asked once more, and must refuse. Medians of some rounds.

Run: ``python tests/bench/gateway_revocation.py [rounds]``.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import uvloop

sys.path[:0] = [str(Path(__file__).parent)]
from gateway_load import HANDSHAKE, Idler, open_all, reach  # noqa: E402
from gateway_stage import open_on, request, stage  # noqa: E402

SOCKETS = 1000
PATIENCE = 30


class Held(Idler):
    """A WebSocket that is open until somebody ends it; ``tally`` counts those that began."""

    ended = 0

    def data_received(self, data):
        if self.expected and data[:1] == b"\x88":
            self.transport.close()  # as a browser does, when it is told why
        else:
            super().data_received(data)

    def connection_lost(self, exc):
        Held.ended += 1


async def closed_after(site, opened, count, revoke):
    """Open ``count`` WebSockets, call ``revoke``; return the seconds until all are closed."""
    wanted = request(opened, site.port, HANDSHAKE, "socket")
    transports, tally = await open_all(Held, site.port, [wanted], count)
    try:
        await reach(tally, count)
        Held.ended, began = 0, time.perf_counter()
        await asyncio.to_thread(revoke)
        async with asyncio.timeout(PATIENCE):
            while count > Held.ended:
                await asyncio.sleep(0.001)
        return time.perf_counter() - began
    finally:
        for transport in transports:
            transport.abort()


async def is_refused(site, opened):
    """Return whether a new WebSocket of the same session is refused."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        writer.write(request(opened, site.port, HANDSHAKE, "socket"))
        return (await reader.readline()).split(b" ")[1] == b"401"
    finally:
        writer.close()


def one_round(site, count=SOCKETS):
    """Return the seconds until all were closed, and whether new ones are refused."""
    opened = open_on(site)

    def revoke():
        site.server.sessions.pop(opened.session)
        site.revoke("session", f"id-{opened.session}")

    async def run():
        return await closed_after(site, opened, count, revoke), await is_refused(site, opened)

    return uvloop.run(run())


def main(rounds=5):
    print(f"{SOCKETS:,} WebSockets of one person, medians of {rounds} rounds.\n")
    print("| | closed after, s | at most | new ones refused |\n|---|---:|---:|---|")
    for name, express in (("express", True), ("consumers", False)):
        with stage(express=express) as site:
            found = [one_round(site) for _ in range(rounds)]
        seconds = [one for one, _ in found]
        refused = "yes" if all(one for _, one in found) else "NO"
        print(f"| {name} | {statistics.median(seconds):.2f} | {max(seconds):.2f} | {refused} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
