"""What the gateway tells HAProxy: exactly what it decided, for as long, and no longer."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import time

import httpx
import msgspec
import pytest
from fake_haproxy import ABSENT
from fake_parts import begin_answer, eventually, read_body, reply, send_chunk
from gateway_fakes import Site
from http2_frames import ask, opens
from websockets.sync.client import connect

from deploy.haproxy import render
from gateway.limits import Settings as Limits

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=ABSENT)


@pytest.fixture(scope="module")
def site():
    running = Site(haproxy=True)
    running.start()
    yield running
    running.stop()


def entries(site, opened) -> list[str]:
    return [entry for entry in site.haproxy.entries if opened.app_id in entry]


def carried(site, opened, **options):
    """Ask until HAProxy has been told; return the answer to a request that it carried itself."""
    with site.client() as client:
        eventually(lambda: client.get(opened.url, **options).is_success and entries(site, opened))
        before = asked(site)
        answer = client.get(opened.url, **options)
        assert asked(site) == before + 1
        return answer


def asked(site, status="2xx") -> int:
    """How many requests HAProxy has sent to apps by itself, which were answered so."""
    pattern = rf'haproxy_requests_total\{{status="{status}"\}} (\d+)'
    return int(re.search(pattern, site.metrics())[1])


def test_a_granted_session_is_carried_without_the_gateway(site):
    opened = site.open_app()
    assert carried(site, opened, headers=opened.cookie).status_code == 200


def test_an_api_token_is_carried_without_the_gateway(site):
    opened = site.open_app()
    assert carried(site, opened, headers=opened.bearer).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Cookie": "theme=dark"}])
def test_a_token_in_an_address_opens_the_app_for_nobody_else(site, headers):
    opened = site.open_app()
    token = f"aen_{opened.owner}"
    site.server.tokens[token] = opened.owner
    with site.client(headers=headers) as client:
        # An entry made of the first, if there were one, would be told before that of the second.
        for _ in range(3):
            assert client.get(opened.url, params={"token": token}).status_code == 200
        carried(site, opened, headers=opened.cookie)
        assert client.get(opened.url).status_code == 401
    assert len(entries(site, opened)) == 1


@pytest.mark.parametrize(
    "cookie",
    ["{mine}; a=1", "a=1; {mine}", "{mine}; aen_gateway=other", "aen_gateway=other; {mine}",
     "aen_gateway=other", "a=1"],
)  # fmt: skip
def test_a_decision_counts_for_its_whole_cookie_field_alone(site, cookie):
    opened = site.open_app()
    mine = opened.cookie["Cookie"]
    carried(site, opened, headers={"Cookie": mine})
    before, server = asked(site), len(site.server.asked)
    with site.client() as client:
        client.get(opened.url, headers={"Cookie": cookie.format(mine=mine).encode()})
    assert asked(site) == before
    assert len(site.server.asked) - server in (0, 1)


def test_two_cookie_fields_are_for_the_gateway(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    before = asked(site)
    with site.client() as client:
        fields = [("Cookie", "aen_gateway=other"), *opened.cookie.items()]
        assert client.get(opened.url, headers=fields).status_code in (200, 401)
    assert asked(site) == before


def test_another_persons_app_is_not_opened_by_a_granted_session(site):
    mine, theirs = site.open_app(), site.open_app()
    carried(site, mine, headers=mine.cookie)
    carried(site, theirs, headers=theirs.cookie)
    with site.client() as client:
        assert client.get(theirs.url, headers=mine.cookie).status_code == 404


@pytest.mark.parametrize("field", ["session", "user", "app_id"])
def test_what_is_revoked_is_taken_out_at_once(site, field):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    value = {"session": f"id-{opened.session}", "user": opened.owner, "app_id": opened.app_id}
    site.server.sessions.pop(opened.session)
    site.revoke(field, value[field])
    eventually(lambda: not entries(site, opened), 1.0)
    with site.client() as client:
        assert client.get(opened.url, headers=opened.cookie).status_code == 401


@pytest.mark.row(2)
def test_revocation_closes_a_thousand_sockets_of_its_own_and_no_other(site):
    opened, other = site.open_app(), site.open_app()
    for one in (opened, other):
        carried(site, one, headers=one.cookie)
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(websocket(site, other))
        sockets = [stack.enter_context(websocket(site, opened)) for _ in range(1000)]
        began = time.monotonic()
        site.server.sessions.pop(opened.session)
        site.revoke("session", f"id-{opened.session}")
        for one in sockets:
            one.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                while one.recv(65536):
                    pass
        print(f"1,000 sockets were closed within {time.monotonic() - began:.3f} s")
        theirs.settimeout(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


@contextlib.contextmanager
def websocket(site, opened):
    """Open a WebSocket by hand, which costs less than a library's; yield its socket."""
    with socket.create_connection(("127.0.0.1", site.port), 15) as sock:
        sock.sendall(
            f"GET {opened.prefix}socket HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: {site.url}\r\n"
            f"Cookie: {opened.cookie['Cookie']}\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = sock.recv(65536)
            assert more, answer
            answer += more
        assert b" 101 " in answer[:20], answer
        yield sock


def test_an_entry_ends_by_itself(site):
    """Whatever becomes of the gateway: HAProxy looks at the time that stands in the value."""
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    (entry,) = entries(site, opened)
    reference, _, value = entry.split(" ", 2)
    old = re.sub(r" \d{10}\|", f" {int(time.time()) - 1}|", f" {value}").split(" ", 2)[-1]
    site.haproxy.ask(f"set map /dev/null #{reference} {old.replace(' ', chr(92) + ' ')}")
    before = asked(site)
    with site.client() as client:
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
    assert asked(site) == before


def test_grants_last_no_longer_in_haproxy_than_in_the_gateway(site):
    site.server.ttl = 2.0
    try:
        opened = site.open_app()
        carried(site, opened, headers=opened.cookie)
    finally:
        site.server.ttl = 30.0
    eventually(lambda: not entries(site, opened), 8.0)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://foreign.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
     {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}],
)  # fmt: skip
def test_another_sites_page_is_refused_though_the_session_is_granted(site, headers):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with site.client() as client:
        answer = client.post(opened.url, headers=opened.cookie | headers)
    assert answer.status_code == 403


@pytest.mark.row(11)
@pytest.mark.parametrize("more", ["a={}", "aen_gateway=other-{}"])
def test_one_person_fills_neither_the_map_nor_all_slots(site, more):
    opened = site.open_app()
    with site.client() as client:
        for number in range(80):
            cookie = f"{opened.cookie['Cookie']}; {more.format(number)}"
            assert client.get(opened.url, headers={"Cookie": cookie}).is_success
        eventually(lambda: len(entries(site, opened)) == 64)
    other = site.open_app()
    assert carried(site, other, headers=other.cookie).status_code == 200


@pytest.mark.row(11)
def test_what_one_person_has_open_is_counted_over_all_their_slots():
    """A thousand in each of many slots would be more than a node's agent can hold."""
    limits = Limits(person_open=4)
    with few(limits) as site, contextlib.ExitStack() as stack:
        opened = site.open_app()
        mine = opened.cookie["Cookie"]
        for cookie in (mine, f"{mine}; aen_gateway=other"):
            carried(site, opened, headers={"Cookie": cookie})
        for number in range(12):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 15))
            sock.sendall(
                f"GET {opened.prefix}hang HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
                f"Cookie: {mine}{'; aen_gateway=other' * (number % 2)}\r\n\r\n".encode()
            )
        # Four by HAProxy, of the gateway's four two are the slots themselves.
        eventually(lambda: 'refused_total{limit="person_open"} 6' in site.metrics())


@contextlib.contextmanager
def few(limits, **wishes):
    """Yield a site with other limits, in HAProxy's configuration, too, and with ``wishes`` there."""
    other = Site(haproxy=True, limits=msgspec.to_builtins(limits))
    parts = other.haproxy.sockets
    (other.directory / "haproxy.cfg").write_text(
        render(other.public_url, parts, slots=16, limits=limits, **wishes)
    )
    other.start()
    try:
        yield other
    finally:
        other.stop()


class Setting:
    """An app that sets the cookie ``value``."""

    value = b"a=1"

    async def __call__(self, scope, receive, send) -> None:
        await begin_answer(send, 200, [(b"set-cookie", self.value)])
        await send_chunk(send, b"", last=True)


BLANKS = " " * 70_000


@pytest.mark.row(7)
@pytest.mark.parametrize(
    "value",
    [f"a={'x' * 3_000}; Path=/", f"a={'x' * 60_000}; Path=/", f"a=1; Path=/{'; secure' * 8_000}",
     f"a=1{'; secure' * 8_000}; Domain=evil.example; Path=/", f"a=1{BLANKS}x; Domain=evil.example",
     f"a=1; expires={BLANKS}; Domain=evil.example; Path=/", f"a=1;{BLANKS}; Domain=evil.example",
     f"a=1; Path=/{BLANKS}; secure{BLANKS[:9_000]}x", f"a=1; Path=/{'; ' * 30_000}"],
    ids=range(9),
)  # fmt: skip
def test_a_cookie_of_any_length_and_shape_stays_at_its_apps_path(site, value):
    """Neither PCRE's limits nor the time that a search takes let one through."""
    opened = site.open_app(app=Setting())
    carried(site, opened, headers=opened.cookie)
    opened.app.value = value.encode()
    answer = carried(site, opened, headers=opened.cookie)
    parts = [part.strip() for part in answer.headers["set-cookie"].lower().split(";")]
    assert parts[-1] == f"path={opened.prefix}" and "path=/" not in parts
    assert "domain=evil.example" not in parts
    assert site.haproxy.running


class Answering:
    """An app that answers with ``fields``."""

    fields: tuple[tuple[bytes, bytes], ...] = ()

    async def __call__(self, scope, receive, send) -> None:
        await begin_answer(send, 200, list(self.fields))
        await send_chunk(send, b"", last=True)


@pytest.mark.row(7)
@pytest.mark.parametrize(("count", "size"), [(75, 900), (90, 700), (16, 4_000)])
def test_many_long_cookies_are_set_as_they_are_at_their_apps_path(site, count, size):
    """HAProxy's own replacement sends its memory instead, where it has to make room meanwhile."""
    opened = site.open_app(app=Answering())
    carried(site, opened, headers=opened.cookie)
    cookies = [f"c{number}={'x' * size}" for number in range(count)]
    opened.app.fields = [(b"set-cookie", f"{cookie}; Path=/".encode()) for cookie in cookies]
    answer = carried(site, opened, headers=opened.cookie)
    wanted = [f"{cookie}; Path={opened.prefix}" for cookie in cookies]
    assert answer.headers.get_list("set-cookie") == wanted


@pytest.mark.row(11)
@pytest.mark.parametrize("fields", [["a," * 30_000], ["a"] * 80])
def test_an_app_does_not_have_thousands_of_names_looked_for(site, fields):
    opened = site.open_app(app=Answering())
    carried(site, opened, headers=opened.cookie)
    opened.app.fields = [(b"connection", value.encode()) for value in fields]
    with site.client() as client:
        eventually(lambda: client.get(opened.url, headers=opened.cookie).status_code == 502)


def test_the_page_that_clears_a_cookie_bomb_comes_through(site):
    opened = site.open_app()
    bomb = "; ".join(f"c{number}={'x' * 3000}" for number in range(20))
    headers = {"Cookie": f"{opened.cookie['Cookie']}; {bomb}", "Accept": "text/html"}
    with site.client() as client:
        answer = client.get(opened.url, headers=headers)
    assert answer.status_code == 431
    assert len(answer.headers.get_list("set-cookie")) >= 20


def test_what_a_connection_names_is_said_to_nobody_behind_haproxy(site):
    """A proxy between us and the browser would take away what guards the answer."""
    opened = site.open_app(app=Answering())
    carried(site, opened, headers=opened.cookie)
    opened.app.fields = [(b"connection", b"X-One, Content-Security-Policy"), (b"x-one", b"1")]
    answer = carried(site, opened, headers=opened.cookie)
    assert "policy" not in answer.headers.get("connection", "").lower()
    assert answer.headers["content-security-policy"] and "x-one" not in answer.headers


def test_a_list_of_hosts_is_not_taken_for_its_last(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with site.client() as client:
        hosts = {"Host": f"evil.example,127.0.0.1:{site.port}"}
        assert client.get(opened.url, headers=opened.cookie | hosts).status_code in (400, 421)


def test_an_app_without_its_prefix_is_carried_too(site):
    opened = site.open_app()
    site.node.stripped.add(opened.app_id)
    answer = carried(site, opened, headers=opened.cookie)
    assert answer.json()["path"] == "/"


def test_a_gateway_that_begins_anew_leaves_nothing_of_the_one_before(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with websocket(site, opened) as held:
        site.stop_gateway(kill=True)
        site.start_gateway()
        assert_ends(held)
    carried(site, opened, headers=opened.cookie)


@pytest.mark.row(11)
def test_a_browser_that_takes_nothing_is_let_go_and_one_that_waits_is_not():
    with few(Limits(reader_seconds=1)) as site:
        opened = site.open_app()
        carried(site, opened, headers=opened.cookie)
        with asking(site, opened, "gated") as waiting, asking(site, opened, "flood"):
            eventually(opened.app.cancelled.is_set, 15)
            site.set(opened.app.gate)
            waiting.settimeout(15)
            answer = b""
            while b"data: two" not in answer:
                more = waiting.recv(65536)
                assert more, answer
                answer += more


@contextlib.contextmanager
def asking(site, opened, what):
    """Send a request and yield its socket, from which nothing has been read."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.connect(("127.0.0.1", site.port))
        sock.sendall(
            f"GET {opened.prefix}{what} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
            f"Cookie: {opened.cookie['Cookie']}\r\n\r\n".encode()
        )
        yield sock


@pytest.mark.row(2)
def test_what_is_open_ends_when_the_gateway_stays_away_longer_than_grace():
    with few(Limits(), grace=1) as site:
        opened = site.open_app()
        carried(site, opened, headers=opened.cookie)
        with websocket(site, opened) as held:
            site.stop_gateway(kill=True)
            assert_ends(held)


def assert_ends(sock):
    sock.settimeout(15)
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            pass


def test_a_haproxy_that_begins_anew_is_told_anew(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with websocket(site, opened) as held:
        site.haproxy.stop()
        assert_ends(held)
    site.haproxy.start()
    eventually(lambda: httpx.get(f"{site.url}/-/health", trust_env=False).is_success)
    carried(site, opened, headers=opened.cookie)


def test_a_reload_keeps_what_is_open_and_revocation_reaches_it(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with connect(
        opened.ws + "echo", additional_headers=opened.cookie, origin=site.url, proxy=None
    ) as held:
        site.haproxy.reload()
        held.send("still here")
        assert held.recv(10) == "still here"
        carried(site, opened, headers=opened.cookie)
        site.revoke("user", opened.owner)
        with pytest.raises(Exception, match="close"):
            held.recv(10)


@pytest.mark.row(2)
@pytest.mark.parametrize("kill", [True, False])
def test_what_is_open_since_before_a_reload_is_never_out_of_reach(site, kill):
    """A gateway that begins anew cannot speak to the older process, and so ends it."""
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with websocket(site, opened) as held:
        site.haproxy.reload()
        carried(site, opened, headers=opened.cookie)
        held.settimeout(0)
        with pytest.raises(BlockingIOError):
            held.recv(1)
        site.stop_gateway(kill=kill)
        site.start_gateway()
        held.settimeout(15)
        with contextlib.suppress(ConnectionResetError):
            while held.recv(65536):
                pass
    carried(site, opened, headers=opened.cookie)


def test_an_older_process_ends_with_the_last_that_is_open_in_it(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with websocket(site, opened):
        site.haproxy.reload()
        carried(site, opened, headers=opened.cookie)
    eventually(lambda: len(site.haproxy.alive) == 1, 15)


def test_the_access_log_names_who_and_what_and_no_secret(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    with site.client() as client:
        client.get(opened.url + "page?token=secret", headers=opened.cookie)
    line = eventually(lambda: re.search(rf".*{opened.prefix}page.*", site.haproxy.log.read_text()))
    assert re.fullmatch(
        rf"127.0.0.1 - {opened.owner} \[\d\d/\w{{3}}/\d{{4}}:\d\d:\d\d:\d\d \+0000\] "
        rf'"GET {opened.prefix}page HTTP/1.1" 200 \d+ "-" "-" \d+',
        line[0],
    )
    assert "secret" not in site.haproxy.log.read_text()


def test_only_its_own_account_reaches_its_sockets(site):
    for path in (site.haproxy.sockets.runtime, site.haproxy.sockets.gateway):
        assert path.stat().st_mode & 0o777 == 0o600


def test_health_says_that_haproxy_is_away(site):
    site.haproxy.stop()
    direct = f"http://127.0.0.1:{site.gateway.port}/-/health"
    eventually(lambda: "HAProxy" in str(httpx.get(direct, trust_env=False).json()))
    site.haproxy.start()
    eventually(lambda: httpx.get(direct, trust_env=False).json()["messages"] == [])


@pytest.mark.parametrize(
    "more",
    ['q="a b"', r"back=\slash\\", "<<x", "hash=#1", "tick='y'", "pipe=a|b", "byte=\xe9", "$HOME"],
)
def test_cookies_of_any_characters_are_carried_as_they_are(site, more):
    opened = site.open_app()
    cookie = f"{opened.cookie['Cookie']}; {more}".encode("latin-1")
    carried(site, opened, headers={"Cookie": cookie})
    assert dict(opened.app.seen[-1].headers)["cookie"] == more


@pytest.mark.skipif(not shutil.which("curl"), reason="curl, which speaks HTTP/2, is not here")
def test_http_2_is_carried_by_the_same_rules(site):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    before = asked(site)

    def curl(*more):
        command = ["curl", "-s", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}"]
        done = subprocess.run(
            [*command, "-H", f"Cookie: {opened.cookie['Cookie']}", *more, opened.url],
            check=False, capture_output=True, text=True, timeout=20,
        )  # fmt: skip
        if done.returncode == 2:
            pytest.skip("this curl does not speak HTTP/2")
        return int(done.stdout)

    # A browser makes a field of each cookie there.
    assert curl(*(part for n in range(300) for part in ("-H", f"X-Field-{n}: x"))) == 200
    before = asked(site)
    assert curl("-H", "TE: trailers") == 200
    assert asked(site) == before + 1
    seen = dict(opened.app.seen[-1].headers)
    assert seen["host"] == seen["x-forwarded-host"] == f"127.0.0.1:{site.port}"
    assert "te" not in seen and "aen_gateway" not in str(seen)
    assert seen["authorization"] == "token of-the-app"
    assert curl("-X", "POST", "-H", "Origin: https://foreign.example") == 403
    assert curl("-H", "X-Forwarded-For: 6.6.6.6") == 200
    assert dict(opened.app.seen[-1].headers)["x-forwarded-for"] == "127.0.0.1"


class Telling:
    """An app that says which fields it knows of when it has read the body."""

    async def __call__(self, scope, receive, send) -> None:
        await read_body(receive)
        fields = {name.decode(): value.decode() for name, value in scope["headers"]}
        await reply(send, 200, fields)


@pytest.mark.row(6)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("named", [True, False], ids=["authority", "host"])
def test_fields_behind_a_body_by_http_2_reach_no_app(site, method, named):
    """Uvicorn, which is in many apps, takes them for header fields."""
    opened = site.open_app(app=Telling())
    carried(site, opened, headers=opened.cookie)
    host = f"127.0.0.1:{site.port}"
    lines = [(":method", method), (":scheme", "http"), (":path", opened.prefix)]
    lines += [(":authority" if named else "host", host), ("cookie", opened.cookie["Cookie"])]
    behind = [("x-forwarded-user", "admin"), ("aen-user", "admin"), ("cookie", "aen_gateway=1")]
    before = asked(site)
    for body in (b"", b"hello"):
        told = json.loads(ask(site.port, lines, body, behind))
        assert not {"x-forwarded-user", "aen-user", "cookie"} & set(told)
        assert told["x-forwarded-host"] == host
    assert asked(site) == before
    # What is known to have nothing behind it is carried as before.
    assert json.loads(ask(site.port, lines))["authorization"] == "token of-the-app"
    sized = [*lines, ("content-length", "5")]
    assert "aen-user" not in json.loads(ask(site.port, sized, b"hello", behind))
    assert asked(site) == before + 2


@pytest.mark.parametrize("origin", ["own", "foreign"])
def test_a_websocket_by_http_2_is_carried_without_the_gateway_if_its_origin_is_the_apps(
    site, origin
):
    opened = site.open_app()
    carried(site, opened, headers=opened.cookie)
    before = asked(site, "1xx")
    lines = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"),
             (":path", opened.prefix), (":authority", f"127.0.0.1:{site.port}"),
             ("cookie", opened.cookie["Cookie"]), ("sec-websocket-version", "13"),
             ("origin", site.url if origin == "own" else "https://foreign.example")]  # fmt: skip
    assert opens(site.port, lines) is (origin == "own")
    assert asked(site, "1xx") == before + (origin == "own")
