"""How long 1,000 WebSockets stay open after the server has said that their access has ended.

From the word on the wire until the last browser has seen the end of its connection; then each way is
asked once more, and must refuse. What the server says is what it says at a sign-out, a new password or a
lock, a removal from the team, the end of a project, of a token, and a stop of the app. Medians of some
rounds.

Run: ``python tests/bench/gateway_revocation.py [rounds] [way …]``.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import uvloop

sys.path[:0] = [str(Path(__file__).parent)]
from gateway_load import HANDSHAKE, Idler, open_all, reach  # noqa: E402
from gateway_stage import open_on, request, stage  # noqa: E402 - it says where the fakes are

from fake_haproxy import ABSENT  # noqa: E402 # isort: skip

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


#: What happened: the grant's field that the server names, how it is asked for, the status afterwards.
CAUSES = {
    "a sign-out": ("session", "cookie", b"401"),
    "a new password, a lock": ("user", "cookie", b"401"),
    "a removal from the team": ("project", "cookie", b"404"),
    "the end of a project": ("project", "cookie", b"404"),
    "the end of a token": ("token", "bearer", b"401"),
    "a stop of the app": ("app_id", "cookie", b"409"),
}


def asked(opened, port, kind):
    """Return a handshake by the person's session, or by a token of theirs."""
    wanted = request(opened, port, HANDSHAKE, "socket")
    if kind == "cookie":
        return wanted
    cookie, bearer = (next(f"{k}: {v}".encode() for k, v in one.items())
                      for one in (opened.cookie, opened.bearer))  # fmt: skip
    return wanted.replace(cookie, bearer)


async def closed_after(site, wanted, count, revoke):
    """Open ``count`` WebSockets, call ``revoke``; return the seconds until all are closed."""
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


async def status_of(site, wanted):
    """Return the status of a new handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        writer.write(wanted)
        return (await reader.readline()).split(b" ")[1]
    finally:
        writer.close()


def end(site, opened, field, status):
    """Have the server know that it has ended, and say so."""
    server = site.server
    if status == b"401":
        server.sessions.pop(opened.session)
        server.tokens.pop(opened.token)
    elif status == b"404":
        server.owners.pop(opened.key)
    else:
        server.statuses[opened.key] = 409
    value = {
        "session": f"id-{opened.session}", "token": f"id-{opened.token}", "user": opened.owner,
        "project": opened.key[1], "app_id": opened.app_id,
    }[field]  # fmt: skip
    site.revoke(field, value)


def one_round(site, count=SOCKETS, cause="a sign-out"):
    """Return the seconds until all were closed, and whether new ones are refused."""
    field, kind, status = CAUSES[cause]
    opened = open_on(site)
    wanted = asked(opened, site.port, kind)

    async def run():
        first = await asyncio.open_connection("127.0.0.1", site.port)
        first[1].write(wanted)  # with HAProxy the first of its kind tells it of the grant
        await first[0].readline()
        first[1].close()
        seconds = await closed_after(site, wanted, count, lambda: end(site, opened, field, status))
        return seconds, await status_of(site, wanted) == status

    return uvloop.run(run())


def main(rounds=5, *wanted):
    ways = {"express": {}, "consumers": {"express": False}}
    if not ABSENT:
        ways["haproxy"] = {"haproxy": True}
    print(f"{SOCKETS:,} WebSockets of one person, medians of {rounds} rounds.\n")
    print("| way | after | closed after, s | at most | new ones refused |\n|---|---|---:|---:|---|")
    for way, options in ways.items():
        if wanted and way not in wanted:
            continue
        with stage(**options) as site:
            for cause in CAUSES:
                found = [one_round(site, cause=cause) for _ in range(rounds)]
                seconds = [one for one, _ in found]
                refused = "yes" if all(one for _, one in found) else "NO"
                figures = f"{statistics.median(seconds):.2f} | {max(seconds):.2f}"
                print(f"| {way} | {cause} | {figures} | {refused} |", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]), *sys.argv[2:])
