"""What one person may take of the gateway, and that others are served all the same."""

import os
import re
import signal
import socket
import threading
import time
from contextlib import ExitStack

import pytest
from fake_app import App
from gateway_fakes import eventually, free_port

pytestmark = pytest.mark.row(11)
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
WAYS = pytest.mark.parametrize("express", [True, False], ids=["express", "consumers"])


def request(opened, what="", *fields, method="GET") -> bytes:
    lines = [f"{method} {opened.prefix}{what} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"Cookie: aen_gateway={opened.session}", *fields, "", ""]
    return "\r\n".join(lines).encode()


def connect(site, where="127.0.0.1"):
    return socket.create_connection((where, site.port), timeout=15)


def head(sock) -> bytes:
    """Return the first line of the answer, and what came with it; ``b""`` at an end."""
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b""


def answered(sock) -> bool:
    """Read a whole answer of the app's index; return whether it is one."""
    answer = b""
    while not answer.endswith(b"}") and (more := head(sock)):
        answer += more
    return answer.startswith(b"HTTP/1.1 200 ")


def limits(**changed):
    """Return the limits of a site, all others off."""
    off = dict.fromkeys(("person_rate", "address_rate", "address_connections", "person_open"), 0)
    return off | changed


@WAYS
def test_who_has_all_open_that_they_may_is_told_so_and_others_are_served(own_site, express):
    site = own_site(express=express, limits=limits(person_open=10))
    greedy, other = site.granted(), site.granted()
    with ExitStack() as open_ones, site.client() as client:
        socks = [open_ones.enter_context(connect(site)) for _ in range(10)]
        for sock in socks:
            sock.sendall(request(greedy, "hang"))
        eventually(lambda: len(greedy.app.seen) == 10)
        page = client.get(greedy.url, headers=greedy.cookie | PAGE)
        assert page.status_code == 429
        assert int(page.headers["retry-after"]) >= 1
        assert "Too much at once" in page.text and "10 answers and sockets" in page.text
        assert client.get(other.url, headers=other.cookie).status_code == 200
        assert 'aen_gateway_refused_total{limit="person_open"} 1\n' in site.metrics()
        socks[0].close()
        eventually(lambda: client.get(greedy.url, headers=greedy.cookie).status_code == 200)


@WAYS
def test_who_asks_too_often_is_told_when_to_come_back(own_site, express):
    site = own_site(express=express, limits=limits(person_rate=0.5))
    greedy, other = site.granted(), site.granted()
    with site.client() as client:
        answers = [client.get(greedy.url, headers=greedy.cookie) for _ in range(4)]
        assert answers[-1].status_code == 429
        assert answers[-1].json()["code"] == "too_many"
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert client.get(other.url, headers=other.cookie).status_code == 200


def test_who_is_turned_away_too_often_is_asked_to_wait_and_sessions_go_on(own_site):
    site = own_site(limits=limits(address_rate=1))
    opened = site.granted()
    with site.client() as client:
        statuses = [client.get(opened.url).status_code for _ in range(6)]
        assert (statuses[0], statuses[-1]) == (401, 429)
        asked = len(site.server.asked)
        wrong = client.get(opened.url, headers={"Cookie": "aen_gateway=guessed"})
        assert (wrong.status_code, len(site.server.asked)) == (429, asked)
        assert client.get(opened.url, headers=opened.cookie).status_code == 200
        assert client.get(site.url + "/-/health").status_code == 200


@pytest.mark.parametrize("path", ["/-/callback?code=x&state=y", "/-/signout"])
def test_what_asks_the_server_for_strangers_has_the_same_limit(own_site, path):
    site = own_site(limits=limits(address_rate=1))
    with site.client(headers={"Cookie": "aen_gateway=guessed"}) as client:
        statuses = [client.get(site.url + path).status_code for _ in range(6)]
    assert (statuses[0] == 429, statuses[-1]) == (False, 429)


def test_entering_an_app_asks_the_server_for_strangers_within_the_same_limit(own_site):
    """Each such request could name eight sessions, and have the server asked about each."""
    site = own_site(origins=True, limits=limits(address_rate=1))
    opened = site.open_app()
    asks = {"place": opened.prefix, "state": "s" * 32, "challenge": "c" * 43}
    guessed = "; ".join(f"aen_gateway=guessed{number}" for number in range(8))
    with site.client() as client:
        enter = site.url + "/-/enter"
        many = [client.get(enter, params=asks, headers={"Cookie": guessed}) for _ in range(6)]
        assert many[-1].status_code == 429 and len(site.server.asked) < 10
        asked = len(site.server.asked)
        assert client.get(enter, params=asks, headers=opened.cookie).status_code == 429
        assert len(site.server.asked) == asked


# --- slow senders, slow readers ------------------------------------------------------------------

STRICT = {"upload_seconds": 0.5, "upload_bytes": 3}


@WAYS
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_that_stands_still_is_ended_and_its_app_told(own_site, express, chunked):
    site = own_site(express=express, limits=limits(**STRICT))
    opened = site.granted()
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000"
    with connect(site) as sock:
        body = b"5\r\nfirst\r\n" if chunked else b"first"
        sock.sendall(request(opened, "upload", framing, method="POST") + body)
        assert opened.app.first_bytes.wait(15)
        assert head(sock).startswith(b"HTTP/1.1 408 ")
        assert opened.app.cancelled.wait(15)
        assert head(sock) == b""
    assert 'aen_gateway_refused_total{limit="upload"} 1\n' in site.metrics()


@WAYS
def test_an_upload_that_goes_on_slowly_is_left_alone(own_site, express):
    site = own_site(express=express, limits=limits(**STRICT))
    opened = site.granted()
    with connect(site) as sock:
        sock.sendall(request(opened, "upload", "Content-Length: 150", method="POST"))
        for _ in range(150):  # over three periods, 50 bytes in each
            sock.sendall(b"x")
            time.sleep(0.01)
        assert head(sock).startswith(b"HTTP/1.1 200 ")


@WAYS
def test_an_upload_that_its_app_does_not_take_is_not_the_browsers_fault(own_site, express):
    site = own_site(express=express, limits=limits(upload_seconds=0.2, upload_bytes=1))
    opened = site.open_socket()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(opened.path))
    listener.listen()
    site.granted(opened)
    listener.settimeout(15)
    size = 32 * 1024 * 1024
    with listener, connect(site) as sock:
        sock.sendall(request(opened, "", f"Content-Length: {size}", method="POST") + b"x")
        with listener.accept()[0] as app:
            app.settimeout(15)
            sock.settimeout(1)  # five periods
            sent = 1
            with pytest.raises(TimeoutError):
                while sent < size:
                    sent += sock.send(b"x" * min(65536, size - sent))
            sock.settimeout(15)
            sending = threading.Thread(target=sock.sendall, args=[b"x" * (size - sent)])
            sending.start()
            came = b""
            while b"\r\n\r\n" not in came:
                came += app.recv(65536)
            left = size - len(came.partition(b"\r\n\r\n")[2])
            while left:
                left -= len(app.recv(1 << 20))
            sending.join(15)
            app.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert head(sock).startswith(b"HTTP/1.1 200 ")


@WAYS
def test_a_browser_that_takes_nothing_is_let_go(own_site, express):
    site = own_site(express=express, limits=limits(reader_seconds=1))
    opened = site.granted()
    with connect(site) as sock:
        sock.sendall(request(opened, "flood"))
        assert opened.app.cancelled.wait(30)


# --- connections ---------------------------------------------------------------------------------


def test_when_connections_are_short_the_idle_ones_go_first(own_site):
    site = own_site(limits=limits(connections=20))
    opened = site.granted()
    with ExitStack() as open_ones:
        busy = open_ones.enter_context(connect(site))
        busy.sendall(request(opened, "hang"))
        assert opened.app.first_bytes.wait(15)
        idle = [open_ones.enter_context(connect(site)) for _ in range(40)]
        last = open_ones.enter_context(connect(site))
        last.sendall(request(opened))
        assert answered(last)
        assert head(idle[0]) == b""
        assert not opened.app.cancelled.is_set()


def test_an_address_has_so_many_connections_and_this_host_any_number(own_site, monkeypatch):
    address = _own_address()
    if address is None:
        pytest.skip("this machine has no address of its own besides loopback")
    monkeypatch.setenv("AEN_BIND", "0.0.0.0")
    site = own_site(limits=limits(address_connections=5))
    with ExitStack() as open_ones:
        socks = [open_ones.enter_context(connect(site, address)) for _ in range(6)]
        assert head(socks[-1]).startswith(b"HTTP/1.1 429 ")
        for _ in range(20):
            open_ones.enter_context(connect(site))
        with site.client() as client:
            assert client.get(site.url + "/-/health").status_code == 200


def _own_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", free_port()))  # sends nothing
        except OSError:
            return None
        found = sock.getsockname()[0]
    return None if found.startswith("127.") else found


# --- fairness ------------------------------------------------------------------------------------


@WAYS
def test_one_persons_flood_does_not_go_before_anothers_request(own_site, express):
    """All requests lie ready when the gateway looks; the flood's came first."""
    site = own_site(express=express, limits=limits())
    order = []
    greedy = site.open_app(app=_Ordered("greedy", order))
    other = site.open_app(app=_Ordered("other", order))
    site.granted(greedy)
    site.granted(other)
    with ExitStack() as open_ones:
        flood = [open_ones.enter_context(connect(site)) for _ in range(200)]
        one = open_ones.enter_context(connect(site))
        for sock, opened in [*((sock, greedy) for sock in flood), (one, other)]:
            sock.sendall(request(opened))  # makes the connections to the apps, too
            assert answered(sock)
        order.clear()
        os.kill(site.gateway_pid, signal.SIGSTOP)
        for sock in flood:
            sock.sendall(request(greedy))
        one.sendall(request(other))
        os.kill(site.gateway_pid, signal.SIGCONT)
        assert all(answered(sock) for sock in [one, *flood])
    assert len(order) == 201
    assert order.index("other") < 100


#: What nobody vouches for: fields, and the answer.
STRANGERS = {
    "sessions that nobody has": (["Cookie: aen_gateway=guessed"], b"401"),
    "pages without a session": (["Accept: text/html", "Sec-Fetch-Mode: navigate"], b"302"),
    "heads that are too large": ([f"X-{n}: {'x' * 90}" for n in range(600)], b"431"),
}


@WAYS
@pytest.mark.parametrize("kind", STRANGERS)
def test_a_flood_of_strangers_waits_for_its_turns_and_somebody_is_served(own_site, express, kind):
    """Here, too, all lie ready. How soon the other is served depends on their app, too: not asked."""
    site = own_site(express=express, limits=limits())
    opened = site.granted()
    fields, status = STRANGERS[kind]
    strange = "\r\n".join([f"GET {opened.prefix} HTTP/1.1", "Host: 127.0.0.1", *fields, "", ""])
    with ExitStack() as open_ones:
        flood = [open_ones.enter_context(connect(site)) for _ in range(100)]
        one = open_ones.enter_context(connect(site))
        one.sendall(request(opened))  # makes the connection to the app, too
        assert answered(one)
        with site.client() as client:  # behind which all connections have been accepted
            assert client.get(site.url + "/-/health").status_code == 200
        os.kill(site.gateway_pid, signal.SIGSTOP)
        for sock in flood:
            sock.sendall(strange.encode())
        one.sendall(request(opened))
        os.kill(site.gateway_pid, signal.SIGCONT)
        assert answered(one)
        assert all(head(sock)[9:12] == status for sock in flood)
    assert int(re.search(r"aen_gateway_delayed_total (\d+)", site.metrics())[1]) >= 40


class _Ordered(App):
    """Notes in a list that it shares with others that it was asked."""

    def __init__(self, name, order):
        super().__init__()
        self._name, self._order = name, order

    async def on_index(self, scope, receive, send):
        self._order.append(self._name)
        await super().on_index(scope, receive, send)
