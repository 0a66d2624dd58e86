"""HAProxy as the gateway's data plane, beside the same HAProxy that authorizes nothing.

All reach the app through the node, by the same kind of connection. *Same duties* is the rendered
configuration with the same fields set and taken out, the same log and limits of size, but instead of
what is looked up and looked at about a request all goes to one app. The *plain* one has one rule.

Run: ``python tests/bench/gateway_haproxy.py [rounds] [seconds]``.
"""

import contextlib
import sys

import httpx
from gateway_load import Asker, Echoer
from gateway_rate import CONNECTIONS, CORES, NO_LIMIT, SOCKET, SOCKETS, Bench, Subject
from gateway_tables import medians, show_rate, table

# Their places are made known by gateway_rate.
from fake_haproxy import ABSENT, Haproxy  # isort: skip
from fake_parts import eventually  # isort: skip
from tests.waiting import free_port  # isort: skip
from gateway.limits import Settings  # isort: skip

PINNED = ("taskset", "-c", str(CORES[0]))
_PLAIN = """
global
    stats socket {runtime} mode 600 level admin
    tune.bufsize 98304
defaults
    mode http
    option http-no-delay
    option abortonclose
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    http-reuse always
frontend all
    bind 127.0.0.1:{port}
    unique-id-format {app_id}
    http-request set-src-port int(0)
    default_backend app
backend app
    server app unix@{agent} send-proxy-v2 proxy-v2-options unique-id
"""


class PlaneBench(Bench):
    """HAProxy with and without authorization, beside the gateway by itself."""

    def _add_gateways(self):
        self._rest = contextlib.ExitStack()
        gateway = self.site.another_gateway(limits=NO_LIMIT)
        self.subjects.append(Subject("gateway alone", gateway.port, gateway.pid, gateway.stop))
        self._add_plain()
        self._add_plane(duties=True)
        self._add_plane()

    def _place(self, name):
        place = self.site.directory / name
        place.mkdir()
        return place

    def _add_plain(self):
        port = free_port()
        plain = Haproxy(self._place("plain"), self.site.node.path, f"http://127.0.0.1:{port}")
        plain._config.write_text(
            _PLAIN.format(
                runtime=plain.sockets.runtime, port=port, agent=self.site.node.path,
                app_id=self.people[0].app_id,
            )
        )  # fmt: skip
        plain.start(before=PINNED)
        self.subjects.append(Subject("HAProxy, plain", port, plain.pid, plain.stop))

    def _add_plane(self, duties=False):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        plane = Haproxy(
            self._place("duties" if duties else "plane"), self.site.node.path, url, slots=1000,
            limits=Settings(person_rate=1e9, person_open=0, address_connections=0),
        )  # fmt: skip
        if duties:
            plane._config.write_text(self._unauthorized(plane._config.read_text()))
            plane.start(before=PINNED)
            self.subjects.append(Subject("HAProxy, same duties", port, plane.pid, plane.stop))
            return
        plane.start(before=PINNED)
        gateway = self.site.another_gateway(
            haproxy=plane.config, public_url=url, limits=NO_LIMIT, max_ttl=600.0
        )
        self._rest.callback(gateway.stop)
        self.plane = plane
        self.subjects.append(Subject("HAProxy, told by the gateway", port, plane.pid, plane.stop))

    def _unauthorized(self, text):
        """Put in place of the rules about requests that all are granted, to the first app."""
        one = self.people[0]
        granted = f"0|aen-slot-1|{one.app_id}|{one.owner}|0||token of-the-app|mode=1"
        begin, end = text.index("    # Whether something"), text.index("    default_backend")
        last = "    default_backend aen-gateway"
        assert text[end:].startswith(last)
        rules = f"""
    http-request set-var(txn.host) req.fhdr(host)
    http-request set-var(txn.place) path,field(1,/,4)
    http-request set-var(txn.now) date
    http-request set-var(txn.plain) bool(true)
    http-request set-var(txn.grant) str("{granted}")
    unique-id-format %[var(txn.grant),field(3,|)]
    default_backend aen-slot-1"""
        rest = text[end + len(last) :].replace(" track aen-gateway/gateway", "")  # there is none
        return text[:begin] + rules + rest.replace(" on-marked-down shutdown-sessions", "")

    def prime(self, subject, people=None):
        super().prime(subject, people)
        if "told" in subject.name:
            eventually(lambda: self._is_told(subject), 30)

    def _is_told(self, subject):
        """Ask with the measured requests' own fields; whether HAProxy carries them all by itself."""
        if not hasattr(self, "told"):
            with httpx.Client(trust_env=False) as client:
                for opened in self.people:
                    cookie = f"mode=1; aen_gateway={opened.session}"
                    fields = {"Cookie": cookie, "Host": "127.0.0.1"}
                    client.get(f"http://127.0.0.1:{subject.port}{opened.prefix}", headers=fields)
        told = [one for one in self.plane.entries if " 127.0.0.1\x01" in one]
        if len(told) >= len(self.people):
            self.told = True
        return hasattr(self, "told")

    def stop(self):
        self._rest.close()
        super().stop()


def main(rounds=3, seconds=1.0):
    if ABSENT:
        print(ABSENT)
        return
    bench = PlaneBench()
    subjects = [one for one in bench.subjects if "HAProxy" in one.name or "alone" in one.name]

    def measure(title, kind, requests, connections):
        found = medians(
            rounds, subjects, lambda one: bench.answers(one, kind, requests, connections, seconds)
        )
        table(title, ["answers/s", "× CHP", "CPU µs"], found, show_rate)

    try:
        for connections in CONNECTIONS:
            title = f"GET of 1 KiB, {connections} kept-alive connections"
            measure(title, Asker, bench.requests(), connections)
        requests = bench.requests("socket", SOCKET)
        measure(f"WebSocket echo, {SOCKETS} connections", Echoer, requests, SOCKETS)
    finally:
        bench.stop()


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((int, float), sys.argv[1:], strict=False)))
