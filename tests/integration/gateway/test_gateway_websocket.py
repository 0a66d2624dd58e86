"""WebSockets to apps through a real gateway process."""

import contextlib
import socket

import pytest
from gateway_fakes import eventually
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

LIMIT = 2**30


@pytest.fixture
def unasked(site):
    """An app about which the server was not asked yet."""
    return site.open_app()


@pytest.fixture
def opened(site):
    return site.granted()


@contextlib.contextmanager
def joined(site, opened, path="socket", *, headers=None, origin="own", **options):
    """A WebSocket as the app's own page opens it."""
    if origin == "own":
        origin = site.url
    with connect(
        opened.ws + path,
        additional_headers=opened.cookie if headers is None else headers,
        origin=origin,
        proxy=None,
        compression=None,
        max_size=LIMIT,
        **options,
    ) as ws:
        yield ws


def refusal(site, opened, path="socket", **options) -> int:
    with pytest.raises(InvalidStatus) as caught, joined(site, opened, path, **options):
        pass
    return caught.value.response.status_code


# --- who gets in ---------------------------------------------------------------------------------


def test_messages_pass_both_ways(site, opened):
    with joined(site, opened) as ws:
        for message in ("text ✓", "", b"bytes \x00\xff", b""):
            ws.send(message)
            assert ws.recv(timeout=15) == message


def test_a_websocket_of_an_app_that_knows_no_prefix_is_asked_without_it(site):
    opened = site.open_app()
    site.node.stripped.add(opened.app_id)
    site.granted(opened)
    with joined(site, opened) as ws:
        ws.send("hello")
        assert ws.recv(timeout=15) == "hello"
    assert opened.app.seen[-1].target == b"/socket"


@pytest.mark.row(1)
def test_without_a_session_there_is_no_websocket(site, opened):
    assert refusal(site, opened, headers={}) == 401
    assert opened.app.seen == []


@pytest.mark.row(1)
def test_another_persons_session_reaches_nothing(site, opened):
    other = site.open_app()
    assert refusal(site, opened, headers=other.cookie) == 404
    assert opened.app.seen == []


@pytest.mark.row(1)
def test_a_session_that_ended_reaches_nothing(site, unasked):
    site.server.sessions.pop(unasked.session)
    assert refusal(site, unasked) == 401


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://127.0.0.1", "OWN.evil.example", "OWN1"]
)
@pytest.mark.row(1)
def test_a_foreign_page_opens_no_websocket_with_a_persons_cookie(site, opened, origin):
    origin = origin.replace("OWN", site.url) if origin else origin
    assert refusal(site, opened, origin=origin) == 403
    assert opened.app.seen == []


def test_a_program_with_a_token_needs_no_origin(site, opened):
    with joined(site, opened, headers=opened.bearer, origin=None) as ws:
        ws.send("hello")
        assert ws.recv(timeout=15) == "hello"


def test_the_app_sees_no_credentials_and_its_own_token(site, opened):
    cookie = {"Cookie": f"a=1; aen_gateway={opened.session}; aen_csrf=2"}
    with joined(site, opened, headers=cookie):
        pass
    headers = dict(opened.app.seen[0].headers)
    assert headers["cookie"] == "a=1"
    assert headers["authorization"] == "token of-the-app"
    assert headers["origin"] == site.url
    assert headers["host"] == f"127.0.0.1:{site.port}"


def test_the_apps_refusal_is_passed_on(site, opened):
    assert refusal(site, opened, "refused") == 418


def test_an_app_that_does_not_run_gives_no_websocket(site, unasked):
    site.server.statuses[unasked.key] = 409
    assert refusal(site, unasked) == 409


# --- the protocol --------------------------------------------------------------------------------


def test_the_app_chooses_the_subprotocol(site, opened):
    with joined(site, opened, subprotocols=["a", "v1.kernel.websocket.jupyter.org"]) as ws:
        assert ws.subprotocol == "v1.kernel.websocket.jupyter.org"


def test_cookies_set_in_the_handshake_are_bound_to_the_app(site, opened):
    with joined(site, opened) as ws:
        assert ws.response.headers.get_all("set-cookie") == [f"ws=1; Path={opened.prefix}"]


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4321])
def test_the_apps_close_code_reaches_the_client(site, opened, code):
    with joined(site, opened) as ws:
        ws.send(f"close {code} because")
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert (ws.close_code, ws.close_reason) == (code, "because")


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4321])
def test_the_clients_close_code_reaches_the_app(site, opened, code):
    with joined(site, opened) as ws:
        ws.close(code)
    assert eventually(lambda: opened.app.closed) == [code]


def test_a_client_that_vanishes_ends_the_apps_side(site, opened):
    with joined(site, opened) as ws:
        ws.socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: opened.app.closed)


def test_an_app_that_vanishes_ends_the_clients_side(site, opened):
    with joined(site, opened) as ws:
        site.thread.run(opened.served.stop())
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert ws.close_code in (1012, 1014)


def test_a_message_of_100_megabytes_passes_both_ways(site, opened):
    message = b"0123456789" * 10_000_000
    with joined(site, opened) as ws:
        ws.send(message)
        assert ws.recv(timeout=60) == message


def test_a_message_in_pieces_is_one_message(site, opened):
    with joined(site, opened) as ws:
        ws.send(iter(["a", "b", "c"]))
        assert ws.recv(timeout=15) == "abc"


def test_pings_are_answered(site, opened):
    with joined(site, opened) as ws:
        assert ws.ping().wait(15)


# --- back-pressure and the end of access ---------------------------------------------------------


def stalled(count):
    last = [-1, 0]

    def same() -> bool:
        now = count()
        last[:] = [now, last[1] + 1 if now == last[0] else 0]
        return now > 0 and last[1] > 30

    return same


def handshake(opened, path) -> bytes:
    return (
        f"GET {opened.prefix}{path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {opened.token}\r\n\r\n"
    ).encode()


def test_a_client_that_does_not_read_makes_the_app_wait(site, opened):
    before = site.resident()
    with socket.create_connection(("127.0.0.1", site.port)) as sock:
        sock.sendall(handshake(opened, "flood"))
        assert sock.recv(100)
        eventually(stalled(lambda: opened.app.flooded))
        assert opened.app.flooded < 64 * 1024 * 1024
        assert site.resident() - before < 32 * 1024 * 1024


@pytest.fixture(scope="module")
def narrow(site):
    """A gateway that carries messages of at most 100,000 bytes, as the consumers do."""
    gateway = site.another_gateway(express=False, limits={"message_bytes": 100_000})
    yield gateway
    gateway.stop()


@contextlib.contextmanager
def joined_at(gateway, opened):
    url = gateway.url.replace("http", "ws", 1) + opened.prefix + "socket"
    options = {"proxy": None, "compression": None, "max_size": LIMIT}
    with connect(url, additional_headers=opened.cookie, origin=gateway.url, **options) as ws:
        yield ws


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_message_over_the_limit_is_told_which(narrow, opened, pieces):
    with joined_at(narrow, opened) as ws:
        ws.send(b"x" * 100_000)
        assert len(ws.recv(timeout=15)) == 100_000
        message = b"x" * 100_001
        parts = [message[start::pieces] for start in range(pieces)]
        with pytest.raises(ConnectionClosed):
            ws.send(message if pieces == 1 else parts)
            ws.recv(timeout=15)
        assert ws.close_code == 1009
        assert "100,000 bytes" in ws.close_reason
        assert "message_bytes" in ws.close_reason
    assert eventually(lambda: opened.app.closed) == [1009]


def test_a_message_of_an_app_over_the_limit_is_told_of_too(narrow, opened):
    with joined_at(narrow, opened) as ws:
        ws.send("large")
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert (ws.close_code, "message_bytes" in ws.close_reason) == (1009, True)
    assert eventually(lambda: opened.app.closed) == [1009]


@pytest.mark.parametrize("field", ["session", "user", "app_id"])
@pytest.mark.row(2)
def test_revocation_closes_the_websocket_and_keeps_out(site, opened, field):
    value = {"session": f"id-{opened.session}", "user": opened.owner, "app_id": opened.app_id}
    with joined(site, opened) as ws:
        site.server.sessions.pop(opened.session)
        site.revoke(field, value[field])
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
        assert ws.close_code == 3003
    assert eventually(lambda: opened.app.closed)
    assert refusal(site, opened) == 401


@pytest.mark.row(2)
def test_revocation_of_a_token_closes_what_it_opened(site, opened):
    with joined(site, opened, headers=opened.bearer, origin=None) as ws:
        site.revoke("token", f"id-{opened.token}")
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
