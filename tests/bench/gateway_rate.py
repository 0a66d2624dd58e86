"""How many requests a second the gateway passes, beside the app asked directly.

Rounds of both take turns, so that the machine's mood is the same for both; the table has medians.
The app does nothing but answer 1 KiB, so the ratio is the worst that a gateway can look: a real
app's own time counts on both sides. Run: ``python tests/bench/gateway_rate.py [rounds] [seconds]``.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration" / "gateway")]
from gateway_fakes import Site, free_port  # noqa: E402

CONNECTIONS = (1, 32, 128)
HEADERS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
    "Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nSec-Fetch-Dest: empty\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCache-Control: no-cache\r\n"
)


class Client(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again; all answers have the same length."""

    def __init__(self, request, tally):
        self.request, self.tally = request, tally
        self.expected, self.got, self.head = 0, 0, b""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(self.request)

    def data_received(self, data):
        self.got += len(data)
        if not self.expected:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            assert self.head.startswith(b"HTTP/1.1 200"), self.head[:200]
            self.expected = self.head.index(b"\r\n\r\n") + 4 + 1024
        if self.got >= self.expected:
            self.got -= self.expected
            self.tally[0] += 1
            self.transport.write(self.request)


async def load(port: int, request: bytes, connections: int, seconds: float) -> float:
    """Return the requests per second that were answered."""
    loop = asyncio.get_running_loop()
    tally = [0]
    clients = [
        (await loop.create_connection(lambda: Client(request, tally), "127.0.0.1", port))[0]
        for _ in range(connections)
    ]
    async with asyncio.timeout(30):
        while tally[0] < 10 * connections:  # warm up; not counted
            await asyncio.sleep(0.02)
    before, began = tally[0], time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (tally[0] - before) / (time.perf_counter() - began)
    for client in clients:
        client.abort()
    return rate


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    """A gateway on one core; app, node and load on the other."""

    def __init__(self) -> None:
        self.site = Site()
        self.site.start_server()
        self.port = free_port()
        self.opened = self.site.open_app()
        app_socket = self.site.directory / "app.sock"
        command = [sys.executable, str(Path(__file__).with_name("gateway_parts.py"))]
        command += [str(app_socket), str(self.port), str(self.site.node.path)]
        self.parts = subprocess.Popen(
            command, stdout=subprocess.PIPE, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
        )
        assert self.parts.stdout is not None
        self.parts.stdout.readline()
        self.site.start_gateway()
        self._pin()
        head = f"GET {self.opened.prefix} HTTP/1.1\r\nHost: 127.0.0.1:{self.site.port}\r\n"
        cookie = f"Cookie: mode=1; aen_gateway={self.opened.session}\r\n\r\n"
        self.request = (head + HEADERS + cookie).encode()

    def _pin(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1:
            os.sched_setaffinity(self.site.gateway_pid, {cores[0]})
            os.sched_setaffinity(self.parts.pid, {cores[1]})
            os.sched_setaffinity(0, {cores[1]})

    def round(self, connections: int, seconds: float) -> tuple[float, float, float]:
        """Return the app's rate, the gateway's rate, and the gateway's CPU microseconds."""
        direct = uvloop.run(load(self.port, self.request, connections, seconds))
        before = cpu_seconds(self.site.gateway_pid)
        began = time.perf_counter()
        through = uvloop.run(load(self.site.port, self.request, connections, seconds))
        spent = (cpu_seconds(self.site.gateway_pid) - before) / (time.perf_counter() - began)
        return direct, through, 1e6 * spent / through

    def stop(self) -> None:
        self.parts.terminate()
        self.parts.wait(10)
        self.site.stop()


def main(rounds: int = 5, seconds: float = 2.0) -> None:
    bench = Bench()
    try:
        print("Gateway beside the app directly: requests/s, keep-alive, 1 KiB, medians of "
              f"{rounds} interleaved rounds\n")  # fmt: skip
        print(
            "| connections | app directly | through the gateway | ratio | gateway CPU µs/request |"
        )
        print("|---:|---:|---:|---:|---:|")
        for connections in CONNECTIONS:
            rows = [bench.round(connections, seconds) for _ in range(rounds)]
            direct, through, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"| {connections} | {direct:,.0f} | {through:,.0f} | {through / direct:.2f} "
                  f"| {cpu:.0f} |", flush=True)  # fmt: skip
    finally:
        bench.stop()


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, float), sys.argv[1:], strict=False)))
