"""What one person's flood does to another's requests: the other's p99, with and without it.

A person, or a stranger, has hundreds of connections that do one thing without end; the kinds of it are
in ``gateway_floods.py``. Another asks once every few milliseconds on a connection of their own, for an
app of their own. The gateway, and HAProxy if it is in front, has one processor; both apps, each a
process, and both loads share the other, the flood and its app at a lower priority, as the figures are to
be the gateway's.

Run: ``python tests/bench/gateway_flood.py [rounds] [seconds] [way …] [kind …]``.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uvloop
from gateway_floods import KINDS
from gateway_stage import OTHER_NODE, open_on, request, stage

PAUSE = 0.003
CORES = sorted(os.sched_getaffinity(0))
WAYS = {
    "express": {},
    "consumers": {"express": False},
    "haproxy": {"haproxy": True},
}


def processor_time(pids):
    """Return the milliseconds of a processor that processes of one thread have had."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


async def waits(port, wanted, seconds, pids):
    """Return how long each answer took, in milliseconds, and how long the gateway worked meanwhile."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        worked, began = processor_time(pids), time.perf_counter()
        writer.write(wanted)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        await reader.readexactly(1024)
        took = 1000 * (time.perf_counter() - began)
        found.append((took, processor_time(pids) - worked))
        await asyncio.sleep(PAUSE)
    writer.close()
    print(json.dumps(found))


def measured(site, people, seconds, kind):
    """Return somebody's waits beside a flood of that kind, or of none: p50, p99, p99 of work."""
    greedy, other = people
    floods = Path(__file__).with_name("gateway_floods.py")
    flood = ["nice", "-n", "10", sys.executable, str(floods), kind, str(site.port)]
    pids = [str(site.gateway_pid), *([str(site.haproxy.pid)] if site.haproxy else [])]
    wanted = request(other, site.port).decode()
    load = subprocess.Popen([*flood, greedy.prefix, greedy.session]) if kind else None
    try:
        if load is not None:
            time.sleep(1)  # until all its connections are open
        # A process of its own: the fakes, which a flood may keep busy, are in this one.
        asked = [sys.executable, __file__, "waits", str(site.port), wanted, str(seconds), *pids]
        found = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    finally:
        if load is not None:
            load.send_signal(signal.SIGKILL)
            load.wait()
    took, worked = zip(*found, strict=True)
    return statistics.median(took), *(_p99(values) for values in (took, worked))


def _p99(values):
    return statistics.quantiles(values, n=100)[98] if len(values) > 1 else values[0]


def one_way(way, kinds, rounds, seconds):
    """Return by kind what was ``measured`` in each round; ``""`` is without a flood."""
    rows = {}
    with stage(**WAYS[way], max_ttl=600, limits={"person_rate": 1e9}) as site:
        site.server.ttl = 600
        people = open_on(site), open_on(site, OTHER_NODE)
        os.sched_setaffinity(site.gateway_pid, {CORES[0]})
        if site.haproxy:
            os.sched_setaffinity(site.haproxy.pid, {CORES[0]})
        os.sched_setaffinity(0, {CORES[-1]})
        os.setpriority(os.PRIO_PROCESS, site.parts[0], os.getpriority(os.PRIO_PROCESS, 0) + 10)
        for _ in range(rounds):
            for kind in ("", *kinds):
                rows.setdefault(kind, []).append(measured(site, people, seconds, kind))
        os.sched_setaffinity(0, set(CORES))
    return rows


def main(rounds=3, seconds=3.0, *wanted):
    ways = [way for way in WAYS if way in wanted] or list(WAYS)
    kinds = [kind for kind in KINDS if kind in wanted] or list(KINDS)
    print(f"Medians of {rounds} rounds of {seconds:g} s.\n")
    print("| way | flood | p50, ms | p99, ms | with / without | the gateway's own work in it, ms |")
    print("|---|---|---:|---:|---:|---:|")
    for way in ways:
        rows = one_way(way, kinds, rounds, seconds)
        quiet = statistics.median(p99 for _, p99, _ in rows[""])
        for kind, found in rows.items():
            p50, p99, work = (statistics.median(column) for column in zip(*found, strict=True))
            said = KINDS[kind].__doc__.partition("\n")[0] if kind else "none"
            figures = f"{p50:.2f} | {p99:.2f} | {p99 / quiet:.1f} | {work:.2f}"
            print(f"| {way} | {said} | {figures} |", flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["waits"]:
    asked = sys.argv[3].encode()
    uvloop.run(waits(int(sys.argv[2]), asked, float(sys.argv[4]), sys.argv[5:]))
elif __name__ == "__main__":
    kinds_of = (int, float)
    numbers = [kind(value) for kind, value in zip(kinds_of, sys.argv[1:3], strict=False)]
    main(*numbers, *sys.argv[3:])
