"""What one person's flood does to another's requests: the other's p99, with and without it.

One person has 256 connections that ask as fast as they are answered. Another asks once every few
milliseconds on a connection of their own, for an app of their own. The gateway has one processor;
both apps, each a process, and both loads share the other, the flood at a lower priority, as the
figures are to be the gateway's.

Run: ``python tests/bench/gateway_flood.py [rounds] [seconds]``.
"""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time

import uvloop
from gateway_load import Asker, open_all
from gateway_stage import OTHER_NODE, open_on, request, stage

FLOOD = 256
PAUSE = 0.003
CORES = sorted(os.sched_getaffinity(0))


def flood(port, wanted):
    """Ask until killed."""

    async def run():
        await open_all(Asker, port, [wanted.encode()], FLOOD)
        await asyncio.Event().wait()

    uvloop.run(run())


async def waits(port, wanted, seconds):
    """Return how long each answer took, in milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(wanted)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readexactly(1024)
        found.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(PAUSE)
    writer.close()
    return found


def measured(site, seconds, *, flooded):
    """Return the p50 and p99 of somebody's waits."""
    greedy, other = open_on(site), open_on(site, OTHER_NODE)
    command = [sys.executable, __file__, "flood", str(site.port)]
    command.append(request(greedy, site.port).decode())
    load = subprocess.Popen(["nice", "-n", "10", *command]) if flooded else None
    try:
        if load is not None:
            time.sleep(1)  # until all its connections are open
        found = uvloop.run(waits(site.port, request(other, site.port), seconds))
    finally:
        if load is not None:
            load.send_signal(signal.SIGKILL)
            load.wait()
    cuts = statistics.quantiles(found, n=100)
    return statistics.median(found), cuts[98]


def main(rounds=3, seconds=3.0):
    rows = {}
    for express in (True, False):
        with stage(express=express, limits={"person_rate": 1e9}) as site:
            os.sched_setaffinity(site.gateway_pid, {CORES[0]})
            os.sched_setaffinity(0, {CORES[-1]})
            way = "express" if express else "consumers"
            for _ in range(rounds):
                for flooded in (False, True):
                    rows.setdefault((way, flooded), []).append(
                        measured(site, seconds, flooded=flooded)
                    )
            os.sched_setaffinity(0, set(CORES))
    print(f"{FLOOD} connections of one person; medians of {rounds} rounds of {seconds:g} s.\n")
    print("| | p50, ms | p99, ms | p99 with / without |\n|---|---:|---:|---:|")
    for way in ("express", "consumers"):
        quiet = statistics.median(p99 for _, p99 in rows[way, False])
        for flooded in (False, True):
            p50, p99 = (
                statistics.median(column) for column in zip(*rows[way, flooded], strict=True)
            )
            name = f"{way}, {'beside the flood' if flooded else 'alone'}"
            print(f"| {name} | {p50:.2f} | {p99:.2f} | {p99 / quiet:.1f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["flood"]:
        flood(int(sys.argv[2]), sys.argv[3])
    else:
        main(*(kind(value) for kind, value in zip((int, float), sys.argv[1:], strict=False)))
