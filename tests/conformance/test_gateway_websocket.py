"""WebSockets through the gateway (RFC 6455), on each of its ways, as two-way transcripts.

The express way passes frames as they are, the consumers whole messages; where that shows, the test
says so.
"""

import socket
import threading

import pytest
from gateway_fakes import eventually
from websockets.utils import accept_key

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    "Connection: keep-alive, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {KEY}",
)  # fmt: skip
MASK = b"\0\0\0\0"  # changes nothing


def frame(opcode: int, data: bytes, *, fin=True, masked=False) -> bytes:
    """Return one frame of less than 64 KiB."""
    size = len(data) if len(data) < 126 else 126
    first = bytes((opcode | (0x80 if fin else 0), size | (0x80 if masked else 0)))
    length = len(data).to_bytes(2) if size == 126 else b""
    return first + length + (MASK if masked else b"") + data


def asks(talk, *more):
    origin = f"Origin: {talk.site.url}"
    return talk.asks("socket", *HANDSHAKE, origin, *more)


def accept(head, *more) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket",
        f"Sec-WebSocket-Accept: {accept_key(head['sec-websocket-key'])}", *more, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def opened(talk, *more):
    """Open a WebSocket; return the app's end."""
    app, head = asks(talk)
    app.says(accept(head, *more))
    assert talk.browser.hears_head().status == 101
    return app


def unmasked(app) -> tuple[int, bytes]:
    """Hear a masked frame of less than 64 KiB: its first byte and what it holds."""
    first, size = app.hears_bytes(2)
    assert size & 0x80
    size &= 0x7F
    if size == 126:
        size = int.from_bytes(app.hears_bytes(2))
    mask, data = app.hears_bytes(4), app.hears_bytes(size)
    return first, bytes(byte ^ mask[number % 4] for number, byte in enumerate(data))


def test_the_app_is_asked_for_a_websocket_as_the_browser_asked(talk):
    _, head = asks(talk, "Sec-WebSocket-Protocol: a, b")
    assert (head["upgrade"].lower(), head["connection"].lower()) == ("websocket", "upgrade")
    assert (head["sec-websocket-version"], head["sec-websocket-protocol"]) == ("13", "a, b")
    assert (head["origin"], head["x-forwarded-for"]) == (talk.site.url, "127.0.0.1")


def test_it_is_accepted_only_after_the_app_accepted(talk):
    app, head = asks(talk)
    talk.browser.sock.settimeout(0)
    with pytest.raises(BlockingIOError):
        talk.browser.sock.recv(1)
    talk.browser.sock.settimeout(15)
    app.says(accept(head))
    answer = talk.browser.hears_head()
    assert (answer.status, answer["sec-websocket-accept"]) == (101, accept_key(KEY))


def test_the_subprotocol_is_the_apps_choice(talk):
    app, head = asks(talk, "Sec-WebSocket-Protocol: a, b")
    app.says(accept(head, "Sec-WebSocket-Protocol: b"))
    assert talk.browser.hears_head()["sec-websocket-protocol"] == "b"


def test_compression_is_agreed_end_to_end_or_refused(talk):
    wish = "permessage-deflate; client_max_window_bits"
    app, head = asks(talk, f"Sec-WebSocket-Extensions: {wish}")
    if talk.site.way != "consumers":
        assert head["sec-websocket-extensions"] == wish
        app.says(accept(head, "Sec-WebSocket-Extensions: permessage-deflate"))
        assert talk.browser.hears_head()["sec-websocket-extensions"] == "permessage-deflate"
    else:  # the consumers do without
        assert "sec-websocket-extensions" not in head
        app.says(accept(head))
        assert "sec-websocket-extensions" not in talk.browser.hears_head()


def test_an_app_that_says_no_is_heard(talk):
    app, _ = asks(talk)
    app.says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: so\r\n\r\nno")
    head = talk.browser.hears_head()
    assert (head.status, head["x-why"]) == (403, "so")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_is_no_agreement_gives_no_websocket(talk, answer):
    app, _ = asks(talk)
    app.says(answer)
    app.close()
    head = talk.browser.hears_head()
    assert head.status == 502 or (talk.site.is_peer and head.says_that_the_app_failed)


@pytest.mark.parametrize("missing", [b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"])
def test_an_agreement_that_changes_no_protocol_gives_no_websocket(talk, missing):
    """Else the browser would speak in frames to who goes on reading HTTP."""
    app, head = asks(talk)
    app.says(accept(head).replace(missing, b""))
    app.close()
    answer = talk.browser.hears_head()
    if talk.site.way == "haproxy" and "upgrade" not in answer and answer.status == 101:
        assert talk.browser.hears_end() == b""  # it reads no more HTTP; browsers refuse the answer
        return
    assert answer.says_that_the_app_failed


def test_an_interim_answer_does_not_stand_for_the_agreement(talk):
    app, head = asks(talk)
    app.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    if talk.site.way == "consumers":  # for which ASGI has no message
        assert talk.browser.hears_head().status == 502
        return
    assert talk.browser.hears_head().status == 103
    app.says(accept(head))
    assert talk.browser.hears_head().status == 101


@pytest.mark.parametrize("size", [0, 5, 125, 126, 60_000])
def test_messages_pass_both_ways(talk, size):
    app = opened(talk)
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    talk.browser.says(frame(2, data, masked=True))
    assert unmasked(app) == (0x82, data)
    app.says(frame(2, data))
    talk.browser.hears(frame(2, data))


def test_a_message_in_pieces_stays_one_message(talk):
    app = opened(talk)
    app.says(frame(1, b"a", fin=False) + frame(9, b"ping") + frame(0, b"b", fin=False))
    app.says(frame(0, b"c"))
    if talk.site.way != "consumers":
        talk.browser.hears(
            frame(1, b"a", fin=False) + frame(9, b"ping") + frame(0, b"b", fin=False)
        )
        talk.browser.hears(frame(0, b"c"))
    else:
        talk.browser.hears(frame(1, b"abc"))


def test_a_ping_has_its_pong(talk):
    app = opened(talk)
    talk.browser.says(frame(9, b"there?", masked=True))
    if talk.site.way != "consumers":  # end to end; the consumers' own server answers
        assert unmasked(app) == (0x89, b"there?")
        app.says(frame(10, b"there?"))
    talk.browser.hears(frame(10, b"there?"))


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_codes_pass_both_ways(talk, code):
    app = opened(talk)
    app.says(frame(8, code.to_bytes(2) + b"because"))
    talk.browser.hears(frame(8, code.to_bytes(2) + b"because"))


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_the_browsers_close_code_reaches_the_app(talk, code):
    app = opened(talk)
    talk.browser.says(frame(8, code.to_bytes(2), masked=True))
    assert unmasked(app) == (0x88, code.to_bytes(2))


def test_a_close_without_code_stays_one(talk):
    app = opened(talk)
    talk.browser.says(frame(8, b"", masked=True))
    assert unmasked(app) == (0x88, b"")


def test_an_app_that_vanishes_is_told_of(talk):
    opened(talk).close()
    if talk.site.way == "haproxy":  # which puts in no frames: browsers say 1006
        assert talk.browser.hears_end() == b""
        return
    talk.browser.hears(frame(8, (1014).to_bytes(2)))


def test_an_app_that_vanishes_in_a_frame_leaves_none_behind(talk):
    app = opened(talk)
    app.says(frame(2, b"x" * 100)[:50])
    app.close()
    heard = talk.browser.hears_end()
    assert heard in (b"", frame(2, b"x" * 100)[:50], frame(8, (1014).to_bytes(2)))


def test_a_browser_that_vanishes_ends_the_apps_side(talk):
    app = opened(talk)
    talk.browser.close()
    heard = app.hears_end()
    assert heard == b"" or heard[0] == 0x88


@pytest.mark.parametrize("field", ["session", "user", "app_id"])
@pytest.mark.row(2)
@pytest.mark.ours("access ends")
def test_revocation_closes_it_and_says_so(talk, field):
    app = opened(talk)
    session = f"id-{talk.opened.session}"
    value = {"session": session, "user": talk.opened.owner, "app_id": talk.opened.app_id}
    talk.site.revoke(field, value[field])
    closing = (
        talk.browser.hears_end() if talk.site.way != "consumers" else talk.browser.hears_bytes(4)
    )
    app.hears_end()
    if talk.site.way == "haproxy":
        assert closing == b""
        return
    assert closing[:1] == b"\x88"
    assert closing[2:4] == (3003).to_bytes(2)
    app.hears_end()


def test_what_comes_right_behind_the_handshakes_is_not_lost(talk):
    app, head = asks(talk)
    app.says(accept(head) + frame(1, b"early"))
    assert talk.browser.hears_head().status == 101
    talk.browser.hears(frame(1, b"early"))


@pytest.mark.row(2)
@pytest.mark.ours("access ends")
def test_revocation_ends_hundreds_at_once(talk):
    apps, browsers = [], []
    request = talk.request("socket", *HANDSHAKE, f"Origin: {talk.site.url}")
    for _ in range(200):
        browser = talk.new_browser()
        browser.says(request)
        app = talk.app()
        app.says(accept(app.hears_head()))
        assert browser.hears_head().status == 101
        apps.append(app)
        browsers.append(browser)
    talk.site.revoke("user", talk.opened.owner)
    for browser in browsers:
        if talk.site.way == "haproxy":
            assert browser.hears_end() == b""
            continue
        assert browser.hears_bytes(4)[2:4] == (3003).to_bytes(2)
        browser.sock.shutdown(socket.SHUT_WR)
    for app in apps:
        app.hears_end()


# --- large messages ------------------------------------------------------------------------------

LARGE = 100 * 1024 * 1024
GROWS = 16 * 1024 * 1024


@pytest.mark.parametrize("masked", [True, False], ids=["up", "down"])
def test_a_message_of_100_mb_passes(talk, masked):
    """On its way as bytes nothing of it is kept; the consumers hold a whole message, as ASGI has it."""
    app = opened(talk)
    source, target = (talk.browser, app) if masked else (app, talk.browser)
    before = talk.site.resident()
    head = bytes((0x82, 127 | (0x80 if masked else 0))) + LARGE.to_bytes(8)
    sending = threading.Thread(target=source.says, args=(head + MASK * masked + bytes(LARGE),))
    sending.start()
    try:
        assert target.hears_bytes(10) == head
        mask = target.hears_bytes(4) if masked else MASK
        grown = passed(target, mask, lambda: talk.site.resident() - before)
    finally:
        target.sock.shutdown(socket.SHUT_RDWR)
        sending.join(30)
    if talk.site.way in ("express", "haproxy"):
        assert grown < GROWS


def passed(end, mask, grown):
    """Hear so many bytes that are zeros without their mask; return how large the proxy was at most."""
    most, wanted = 0, mask * (1024 * 1024 // len(mask))
    for _ in range(LARGE // len(wanted)):
        end.hears(wanted)
        most = max(most, grown())
    return most


# --- back-pressure -------------------------------------------------------------------------------


def test_an_app_that_does_not_read_makes_the_browser_wait(talk):
    opened(talk)
    assert_stalls(talk, frame(2, b"x" * 60_000, masked=True))


def test_an_app_that_does_not_read_an_upload_makes_the_browser_wait(talk):
    talk.asks("upload", f"Content-Length: {10**9}", method="POST", body=b"x")
    assert_stalls(talk, b"x" * 60_000)


def assert_stalls(talk, piece):
    """Send until nothing more is taken; the gateway must not have kept it."""
    before, sent, still = talk.site.resident(), 0, 0
    talk.browser.sock.settimeout(0)

    def full():
        nonlocal sent, still
        try:
            sent += talk.browser.sock.send(piece[sent % len(piece) :])
            still = 0
        except BlockingIOError:
            still += 1
        return still > 30

    eventually(full)
    assert sent < 64 * 1024 * 1024
    assert talk.site.resident() - before < 16 * 1024 * 1024
