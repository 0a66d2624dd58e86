"""What Prometheus reads at ``/-/metrics``: counts since the start, in its text format.

A few integers that are added to; nothing here costs a request more than that.
"""

import asyncio
import os
import resource
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from .access import Access
from .limits import Limits

#: Upper bounds in seconds of the buckets that durations are counted in.
BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class Traffic:
    """Bytes from and to apps, by any number of connections."""

    __slots__ = ("_seen", "received", "sent")

    def __init__(self) -> None:
        self.received = 0
        self.sent = 0
        self._seen = 0

    def add(self, other: "Traffic") -> None:
        self.received += other.received
        self.sent += other.sent

    def moved(self) -> bool:
        """Return whether any went by since the last call."""
        before, self._seen = self._seen, self.received + self.sent
        return self._seen != before


class Metrics:
    """Counts of requests by way and status, and of how long they took."""

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0

    def count(self, way: str, status: int, seconds: float) -> None:
        """Note one finished request; a WebSocket ends with status 101."""
        self._requests[way, status] += 1
        if status != 101:  # how long a WebSocket was open says nothing about speed
            self._seconds += seconds
            self._buckets[bisect_left(BUCKETS, seconds)] += 1

    def text(self, access: Access, traffic: Traffic, limits: Limits) -> str:
        """Return all of it."""
        requests = [
            (f'{{way="{way}",status="{status}"}}', count)
            for (way, status), count in sorted(self._requests.items())
        ]
        failed = sum(count for (_, status), count in self._requests.items() if status == 502)
        refused = [(f'{{limit="{name}"}}', n) for name, n in sorted(limits.refused.items())]
        lines = [
            *lines_of("requests_total", "counter", requests),
            *lines_of("request_seconds", "histogram", self._histogram()),
            *lines_of("open_connections", "gauge", [("", access.open_count)]),
            *lines_of("access_hits_total", "counter", [("", access.hits)]),
            *lines_of("access_misses_total", "counter", [("", access.misses)]),
            *lines_of("app_errors_total", "counter", [("", failed)]),
            *lines_of("app_bytes_total", "counter", [
                ('{direction="from"}', traffic.received),
                ('{direction="to"}', traffic.sent),
            ]),
            *lines_of("refused_total", "counter", refused),
            *lines_of("message_bytes", "gauge", [("", limits.messages.total)]),
            *lines_of("delayed_total", "counter", [("", limits.delayed)]),
        ]  # fmt: skip
        return "\n".join([*lines, ""])

    def _histogram(self) -> Iterable[tuple[str, float]]:
        total = 0
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            yield f'_bucket{{le="{bound}"}}', total
        yield "_sum", self._seconds
        yield "_count", total


def process(app_connections: int) -> str:
    """Return what of this process and its loop would show a leak, by the names that are usual for it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    files = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are all that is wanted
    gauges = {
        "aen_gateway_tasks": (len(asyncio.all_tasks()), "Tasks of the gateway's loop."),
        "aen_gateway_app_connections": (app_connections, "Connections to apps."),
        "process_open_fds": (files, "Open files and connections."),
        "process_max_fds": (resource.getrlimit(resource.RLIMIT_NOFILE)[0], "As many may be open."),
        "process_resident_memory_bytes": (pages * os.sysconf("SC_PAGE_SIZE"), "Memory in use."),
    }
    lines = [
        f"# HELP {name} {told}\n# TYPE {name} gauge\n{name} {value}\n"
        for name, (value, told) in gauges.items()
    ]
    return "".join(lines)


def links(*, server: bool, nodes: Iterable[tuple[str, bool]]) -> str:
    """Return whether the wire to the server stands, and which nodes are reached, by their names."""
    lines = [
        *lines_of("server_up", "gauge", [("", int(server))]),
        *lines_of("node_up", "gauge", [(_node(name), int(up)) for name, up in nodes]),
    ]
    return "\n".join([*lines, ""])


def _node(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{node="{escaped}"}}'


def lines_of(name: str, kind: str, values: Iterable[tuple[str, float]]) -> list[str]:
    told, name = _HELP[name], f"aen_gateway_{name}"
    return [f"# HELP {name} {told}", f"# TYPE {name} {kind}",
            *(f"{name}{labels} {value:g}" if isinstance(value, float)
              else f"{name}{labels} {value}" for labels, value in values)]  # fmt: skip


#: What each of them is, for whoever sees the name alone.
_HELP = {
    "requests_total": "Requests that ended, WebSockets among them, by way and status.",
    "request_seconds": "How long requests took; WebSockets are not in it.",
    "open_connections": "Answers under way and open WebSockets.",
    "access_hits_total": "Requests decided from memory.",
    "access_misses_total": "Requests that the server was asked about.",
    "app_errors_total": "Requests answered 502, as their app was not reached or broke off.",
    "app_bytes_total": "Bytes to and from apps.",
    "refused_total": "Requests refused, or WebSockets closed, by a limit.",
    "message_bytes": "Bytes of WebSockets' messages that are held until they are passed on.",
    "delayed_total": "Requests and pieces of streams that waited for others' turn.",
    "server_up": "1 while the wire to the server stands.",
    "node_up": "1 while the node is reached.",
    "haproxy_requests_total": "Answers of apps by HAProxy, by the first digit of their status.",
    "haproxy_open_connections": "Requests and WebSockets that HAProxy carries now.",
    "haproxy_app_errors_total": "Connections to apps that HAProxy could not make.",
    "haproxy_app_bytes_total": "Bytes to and from apps that HAProxy carried.",
}
