"""How fast the gateway is beside the app asked directly, its peers, and plain NGINX.

Rounds of all take turns, so that the machine's mood is the same for each; tables have medians. The
app does nothing but answer, so ratios to it are the worst that a proxy can look. Proxies have one
processor, load, app and node the other. The gateway's requests are authorized by sessions of many
people, and their connections to the app come from a node; the peers authorize nothing and reach the
app's own port.

Run: ``python tests/bench/gateway_rate.py [rounds] [seconds] [small,echo,bulk,slow,idle,hosts]``.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration" / "gateway")]
from gateway_fakes import Site, free_port  # noqa: E402
from gateway_hosts import OtherHost, Unavailable  # noqa: E402
from gateway_load import (  # noqa: E402
    BROWSER,
    HANDSHAKE,
    Asker,
    Echoer,
    Idler,
    bulk,
    held_up,
    open_all,
    rate,
)
from gateway_load import reach as reached  # noqa: E402
from gateway_peers import Absent, chp, nginx  # noqa: E402
from gateway_tables import medians, show_rate, table, times  # noqa: E402

CONNECTIONS = (1, 32, 128)
SOCKETS = 500
IDLE = 2000
#: Whose connections these are, in turn.
PEOPLE = 128
BULK = 1024**3
#: On one connection all requests are one person's. They are counted all the same.
NO_LIMIT = {"person_rate": 1e9}
CORES = sorted(os.sched_getaffinity(0))


SOCKET = HANDSHAKE + "Origin: http://127.0.0.1\r\n"


class Subject:
    """Something to be measured: where it listens, and which process does its work."""

    def __init__(self, name, port, pid, stop):
        self.name, self.port, self.pid, self.stop = name, port, pid, stop
        if pid is not None:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {CORES[0]})

    def cpu(self):
        """Return the seconds that its process has computed."""
        if self.pid is None:
            return 0.0
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Return its resident memory in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


class Bench:
    """The app behind a node, and every subject in front of them."""

    def __init__(self):
        self.site = Site()
        self.site.start_server()
        self.site.server.ttl = 600.0
        self.people = [self.site.open_socket() for _ in range(PEOPLE)]
        self.port = free_port()
        command = [sys.executable, str(Path(__file__).with_name("gateway_parts.py"))]
        command += [str(self.site.directory / "app.sock"), str(self.port), str(self.site.node.path)]
        self.parts = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
        )
        assert self.parts.stdout is not None
        self.parts.stdout.readline()
        os.sched_setaffinity(self.parts.pid, {CORES[-1]})
        self.subjects = [Subject("app directly", self.port, None, lambda: None)]
        self._add_gateways()
        for name, peer in (("configurable-http-proxy", chp), ("plain NGINX", nginx)):
            try:
                started = peer(self.port)
            except Absent as why:
                print(f"{name} is left out: {why}.")
            else:
                self.subjects.append(Subject(name, started.port, started.pid, started.stop))
        os.sched_setaffinity(0, {CORES[-1]})

    def _add_gateways(self):
        """Two gateways for one server and one node: with and without the express way."""
        for name, express in (("gateway", True), ("gateway, consumers only", False)):
            gateway = self.site.another_gateway(express=express, limits=NO_LIMIT)
            self.subjects.append(Subject(name, gateway.port, gateway.pid, gateway.stop))

    def requests(self, what="", more="", people=None):
        """Return the same request for each of the people."""
        return [self.request(what, more=more, opened=one) for one in people or self.people]

    def request(self, what="", method="GET", more="", opened=None):
        opened = opened or self.people[0]
        head = f"{method} {opened.prefix}{what} HTTP/1.1\r\nHost: 127.0.0.1\r\n{BROWSER}"
        cookie = f"Cookie: mode=1; aen_gateway={opened.session}\r\n"
        return (head + more + cookie + "\r\n").encode()

    def stop(self):
        for subject in self.subjects:
            subject.stop()
        self.parts.terminate()
        self.parts.wait(10)
        self.site.stop()

    # --- what is measured ------------------------------------------------------------------------

    def prime(self, subject, people=None):
        """Make a request, so that the sessions' grants are remembered, as they nearly always are."""
        with httpx.Client(trust_env=False) as client:
            for opened in people or self.people:
                url = f"http://127.0.0.1:{subject.port}{opened.prefix}"
                assert client.get(url, headers=opened.cookie).status_code == 200

    def answers(self, subject, kind, requests, connections, seconds, people=None):
        """Return answers a second, and the proxy's microseconds of CPU for each."""
        self.prime(subject, people)
        measured = rate(kind, subject.port, requests, connections, seconds, subject.cpu)
        done, spent = uvloop.run(measured)
        return done, 1e6 * spent

    def transfer(self, subject, request, upload, expected):
        """Return MB a second, and by how many MB the proxy grew."""
        self.prime(subject)
        before = subject.memory() if subject.pid else 0
        seconds = uvloop.run(bulk(subject.port, request, upload, expected))
        grown = subject.memory() - before if subject.pid else 0
        return (upload or expected) / seconds / 1e6, grown / 1e6

    def grown(self, subject, request, upload, seconds=2.0):
        """Return by how many MB the proxy grows while a transfer waits for who does not read."""
        self.prime(subject)
        before, most = subject.memory(), 0

        async def watch():
            nonlocal most
            slow = asyncio.ensure_future(held_up(subject.port, request, upload, seconds))
            while not slow.done():
                most = max(most, subject.memory() - before)
                await asyncio.sleep(0.05)

        uvloop.run(watch())
        return most / 1e6

    def idle(self, subject):
        """Return KB of memory for each idle WebSocket."""
        self.prime(subject)
        before = subject.memory()

        async def hold():
            requests = self.requests("socket", SOCKET)
            transports, tally = await open_all(Idler, subject.port, requests, IDLE)
            await reached(tally, IDLE)
            grown = subject.memory() - before
            for transport in transports:
                transport.abort()
            return grown / IDLE / 1024

        return uvloop.run(hold())


def main(rounds=3, seconds=1.0, what="small,echo,bulk,slow,idle,hosts"):
    bench = Bench()
    proxies = [subject for subject in bench.subjects if subject.pid]
    wanted = what.split(",")
    try:
        print(f"Medians of {rounds} rounds in turn, {seconds:g} s each.")
        if "small" in wanted:
            small(bench, rounds, seconds)
        if "echo" in wanted:
            echo(bench, rounds, seconds)
        if "bulk" in wanted:
            transfers(bench, rounds)
        if "slow" in wanted:
            slow(bench, proxies)
        if "idle" in wanted:
            found = medians(1, proxies, lambda subject: [bench.idle(subject)])
            table(f"{IDLE:,} idle WebSockets", ["KB each"], found, lambda row, _: [f"{row[0]:.1f}"])
        if "hosts" in wanted:
            hosts(bench, rounds, seconds)
    finally:
        bench.stop()


def small(bench, rounds, seconds):
    for connections in CONNECTIONS:
        found = medians(
            rounds,
            bench.subjects,
            lambda one, n=connections: bench.answers(one, Asker, bench.requests(), n, seconds),
        )
        title = f"GET of 1 KiB, {connections} kept-alive connections"
        table(title, ["requests/s", "× CHP", "CPU µs"], found, show_rate)


def echo(bench, rounds, seconds):
    requests = bench.requests("socket", SOCKET)
    found = medians(
        rounds, bench.subjects, lambda one: bench.answers(one, Echoer, requests, SOCKETS, seconds)
    )
    title = f"WebSocket echo of 32 bytes, {SOCKETS} connections"
    table(title, ["messages/s", "× CHP", "CPU µs"], found, show_rate)


def slow(bench, proxies):
    """An answer that nobody reads, and an upload that the app does not take."""
    down = bench.request(f"bulk?{BULK}")
    up = bench.request("stalled", "POST", f"Content-Length: {BULK}\r\n")
    found = medians(1, proxies, lambda one: [bench.grown(one, down, 0), bench.grown(one, up, BULK)])
    columns = ["slow reader, MB", "slow app, MB"]
    table("Growth in a transfer of 1 GiB that stands", columns, found, show_growth)


def show_growth(row, _):
    return [f"{value:.1f}" for value in row]


def hosts(bench, rounds, seconds):
    """The gateway with its node on this host, and in a namespace of its own behind TLS."""
    try:
        other = OtherHost(ROOT, PEOPLE, NO_LIMIT)
    except Unavailable as why:
        print(f"A second host is left out: {why}.")
        return
    far = Subject("node on another host", other.gateway.port, other.gateway.pid, lambda: None)
    near = next(one for one in bench.subjects if one.name == "gateway")
    people = {near: bench.people, far: other.people}
    os.sched_setaffinity(other.worker, {CORES[-1]})
    try:
        for connections in CONNECTIONS:
            found = medians(
                rounds,
                (near, far),
                lambda one, n=connections: bench.answers(
                    one,
                    Asker,
                    bench.requests(people=people[one]),
                    n,
                    seconds,
                    people[one],
                ),
            )
            first = found[near][0]
            table(
                f"The node's place: GET of 1 KiB, {connections} connections",
                ["requests/s", "× one host", "CPU µs"],
                found,
                lambda row, _, of=first: [f"{row[0]:,.0f}", f"{row[0] / of:.2f}", f"{row[1]:.0f}"],
            )
    finally:
        other.stop()


def transfers(bench, rounds):
    def show(row, peer):
        return [f"{row[0]:,.0f}", times(row[0], peer), f"{row[1]:.1f}"]

    down = bench.request(f"bulk?{BULK}")
    up = bench.request("bulk", "POST", f"Content-Length: {BULK}\r\n")
    for title, request, upload, expected in (
        ("Download of 1 GiB", down, 0, BULK), ("Upload of 1 GiB", up, BULK, 1024),
    ):  # fmt: skip
        found = medians(
            rounds,
            bench.subjects,
            lambda one, r=request, u=upload, e=expected: bench.transfer(one, r, u, e),
        )
        table(title, ["MB/s", "× CHP", "grows by MB"], found, show)


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, float, str), sys.argv[1:], strict=False)))
