"""Connects and disconnects at random, for minutes, and what of it stays behind in the gateway.

People load pages, cut downloads and uploads off, drop WebSockets without a word, and lose their
access in between, on all of the gateway's ways at once. Then all go away, and the gateway, and HAProxy
in front of it, must have no more open files, tasks and open connections than before. Their memory is
read all along.

Run: ``python tests/bench/gateway_soak.py [seconds] [people at a time] [rest]``; 600 seconds, 40 people,
who rest for so many seconds on average between two acts: 0.
"""

import asyncio
import contextlib
import logging
import os
import random
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration" / "gateway")]
from fake_haproxy import ABSENT, Haproxy  # noqa: E402
from gateway_fakes import SECRET_KEY, Site, free_port  # noqa: E402

HANDSHAKE = (
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)  # fmt: skip
MESSAGE = b"\x82\x85\0\0\0\0hello"
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"
#: Idle connections that a gateway may keep to its server.
SERVER_IDLE = 32
NO_LIMITS = dict.fromkeys(("person_rate", "address_rate"), 0)


class Way:
    """A gateway, what is in front of it if anything is, and what of both would show a leak."""

    def __init__(self, name, gateway, haproxy=None):
        self.name, self.gateway, self.haproxy = name, gateway, haproxy
        self.port = haproxy.port if haproxy else gateway.port
        self.before = self.gauges()

    def gauges(self):
        shown = {"Authorization": "Bearer " + SECRET_KEY}
        answer = httpx.get(f"{self.gateway.url}/-/metrics", headers=shown, trust_env=False)
        found = {
            name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", answer.text, re.M)
        }
        # Idle connections to apps are kept for half a minute; that is no leak.
        apps = found["aen_gateway_app_connections"]
        gauges = {
            "files": found["process_open_fds"] - apps,
            "tasks": found["aen_gateway_tasks"],
            "open": found["aen_gateway_open_connections"],
            "memory": found["process_resident_memory_bytes"],
        }
        return gauges | (_haproxys(self.haproxy) if self.haproxy else {})

    def left_over(self):
        """Return what there is more of than before, and than may be kept to ask the server."""
        now, spare = self.gauges(), {"files": SERVER_IDLE}
        return {
            name: now[name] - self.before[name]
            for name in set(now) - {"memory", "haproxy_memory"}
            if now[name] > self.before[name] + spare.get(name, 0)
        }


def _haproxys(haproxy):
    """Return what HAProxy has open towards browsers, apps and the gateway, and its memory."""
    info = dict(re.findall(r"^(\w+): (\d+)$", haproxy.ask("show info"), re.M))
    pages = int(Path(f"/proc/{haproxy.pid}/statm").read_text().split()[1])
    # Idle connections to the gateway are kept for a while, by its own configuration.
    return {
        "haproxy_open": int(info["CurrConns"]),
        "haproxy_memory": pages * os.sysconf("SC_PAGE_SIZE"),
    }


class Person:
    """Does one thing after the other, each on a connection of its own, and none to its end."""

    def __init__(self, ways, apps, chance, done, rest=0.0):
        self._ways, self._apps, self._chance, self._done = ways, apps, chance, done
        self._rest = rest

    async def live(self, until):
        acts = [self.load, self.cut_download, self.cut_upload, self.upload, self.drop_socket,
                self.close_socket, self.cut_head, self.stranger]  # fmt: skip
        while time.monotonic() < until:
            await asyncio.sleep(2 * self._rest * self._chance.random())
            act = self._chance.choice(acts)
            way, opened = self._chance.choice(self._ways), self._chance.choice(self._apps)
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(20):
                    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
                    try:
                        await act(reader, writer, opened)
                        self._done[act.__name__] += 1
                    finally:
                        writer.transport.abort()

    def _ask(self, writer, opened, what, *fields, method="GET", session=None):
        session = session or opened.session
        lines = [f"{method} {opened.prefix}{what} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"Cookie: aen_gateway={session}", *fields, "", ""]
        writer.write("\r\n".join(lines).encode())

    async def load(self, reader, writer, opened):
        for _ in range(self._chance.randint(1, 4)):
            self._ask(writer, opened, "page")
            await reader.readuntil(b"}")

    async def cut_download(self, reader, writer, opened):
        self._ask(writer, opened, self._chance.choice(["gated", "many"]))
        await reader.read(self._chance.choice([1, 1000, 100_000]))

    async def cut_upload(self, reader, writer, opened):
        self._ask(writer, opened, "upload", "Content-Length: 1000000", method="POST")
        writer.write(b"x" * self._chance.choice([0, 1, 70_000]))
        await asyncio.sleep(self._chance.random() / 20)

    async def upload(self, reader, writer, opened):
        self._ask(writer, opened, "upload", "Content-Length: 70000", method="POST")
        writer.write(b"x" * 70_000)
        await reader.readuntil(b"}")

    async def _socket(self, reader, writer, opened):
        origin = f"Origin: http://127.0.0.1:{writer.get_extra_info('peername')[1]}"
        host = f"Host: 127.0.0.1:{writer.get_extra_info('peername')[1]}"
        lines = [f"GET {opened.prefix}socket HTTP/1.1", host, origin, *HANDSHAKE]
        lines += [f"Cookie: aen_gateway={opened.session}", "", ""]
        writer.write("\r\n".join(lines).encode())
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(self._chance.randint(0, 5)):
            writer.write(MESSAGE)
            await reader.readexactly(7)

    async def drop_socket(self, reader, writer, opened):
        await self._socket(reader, writer, opened)
        writer.write(MESSAGE[: self._chance.randint(0, len(MESSAGE))])

    async def close_socket(self, reader, writer, opened):
        await self._socket(reader, writer, opened)
        writer.write(CLOSE)
        await reader.read()

    async def cut_head(self, reader, writer, opened):
        writer.write(b"GET " + opened.prefix.encode()[: self._chance.randint(0, 9)])
        await asyncio.sleep(self._chance.random() / 50)

    async def stranger(self, reader, writer, opened):
        self._ask(writer, opened, "page", session=f"guess{self._chance.random()}")
        await reader.readuntil(b"}")


async def revoke(site, apps, chance, done, until):
    """Take access from one after the other; the server grants it anew."""
    while time.monotonic() < until:
        await asyncio.sleep(0.05 + chance.random() / 5)
        opened = chance.choice(apps)
        field, value = chance.choice([("user", opened.owner), ("app_id", opened.app_id)])
        await asyncio.to_thread(site.revoke, field, value)
        done["revoke"] += 1


async def remember(ways, memory, until):
    """Note the memory of each way, some dozens of times in all."""
    pause = max((until - time.monotonic()) / 60, 0.5)
    while time.monotonic() < until:
        await asyncio.sleep(pause)
        for way in ways:
            gauges = await asyncio.to_thread(way.gauges)
            memory[way.name].append((time.monotonic(), gauges["memory"]))
            if way.haproxy:
                memory["HAProxy"].append((time.monotonic(), gauges["haproxy_memory"]))


async def soak(site, ways, seconds, people, seed, rest=0.0):
    """Return what was done how often, and by way what its memory was when."""
    chance, done, until = random.Random(seed), Counter(), time.monotonic() + seconds
    apps = [site.open_app() for _ in range(6)]
    memory = defaultdict(list)
    async with asyncio.TaskGroup() as group:
        for _ in range(people):
            person = Person(ways, apps, random.Random(chance.random()), done, rest)
            group.create_task(person.live(until))
        group.create_task(revoke(site, apps, chance, done, until))
        group.create_task(remember(ways, memory, until))
    return done, memory


def settle(ways, seconds=60.0):
    """Wait until nothing is left over; return by way what is, when the time is over."""
    deadline = time.monotonic() + seconds
    while any(way.left_over() for way in ways) and time.monotonic() < deadline:
        time.sleep(0.1)
    return {way.name: way.left_over() for way in ways if way.left_over()}


def slope(points):
    """Return by how many bytes a second the later half of the points rises."""
    later = points[len(points) // 2 :]
    if len(later) < 3:
        return 0.0
    times, values = zip(*later, strict=True)
    return statistics.linear_regression(times, values).slope


@contextlib.contextmanager
def all_ways():
    """Yield a site and the ways to it: HAProxy's, if it is on this machine, has another gateway."""
    site = Site(limits=NO_LIMITS).start()
    with contextlib.ExitStack() as running:
        running.callback(site.stop)
        consumers = site.another_gateway(express=False, limits=NO_LIMITS)
        running.callback(consumers.stop)
        ways = [Way("express", site.gateway), Way("consumers", consumers)]
        if not ABSENT:
            url = f"http://127.0.0.1:{free_port()}"
            haproxy = Haproxy(site.directory, site.node.path, url).start()
            running.callback(haproxy.stop)
            behind = site.another_gateway(public_url=url, haproxy=haproxy.config, limits=NO_LIMITS)
            running.callback(behind.stop)
            ways.append(Way("behind HAProxy", behind, haproxy))
        yield site, ways


def main(seconds=600.0, people=40, rest=0.0):
    for name in ("asyncio", "uvicorn.error"):  # whoever is cut off is no news here
        logging.getLogger(name).disabled = True
    with all_ways() as (site, ways):
        before = {way.name: way.before["memory"] for way in ways}
        if haproxys := [way.before["haproxy_memory"] for way in ways if way.haproxy]:
            before["HAProxy"] = haproxys[0]
        done, memory = asyncio.run(soak(site, ways, seconds, people, seed=1, rest=rest))
        print(f"{sum(done.values()):,} connections in {seconds:g} s: "
              + ", ".join(f"{name} {count:,}" for name, count in sorted(done.items())))  # fmt: skip
        left = settle(ways)
        print("\n| | memory at the start, MB | at the end | a minute more, late | left over |")
        print("|---|---:|---:|---:|---|")
        for name, points in memory.items():
            first, last = (point / 1e6 for point in (before[name], points[-1][1]))
            rises = f"{60 * slope(points) / 1e6:.2f}"
            print(f"| {name} | {first:.1f} | {last:.1f} | {rises} | {left.get(name, 'nothing')} |")
    return bool(left)


if __name__ == "__main__":
    sys.exit(
        main(*(kind(value) for kind, value in zip((float, int, float), sys.argv[1:], strict=False)))
    )
