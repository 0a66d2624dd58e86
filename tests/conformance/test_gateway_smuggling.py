"""Requests that two readers could read differently (security case 9), sent as raw bytes.

Whatever the gateway makes of them, the app must never get a request that the gateway did not see.
"""

import contextlib
import select

import h11
import pytest
from transcript import PEERS_PATIENCE

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
LENGTH = f"Content-Length: {len(HIDDEN)}"
CHUNKED = "Transfer-Encoding: chunked"

AMBIGUOUS = {
    "CL.TE": ([LENGTH, CHUNKED], b"0\r\n\r\n" + HIDDEN),
    "TE.CL": ([CHUNKED, "Content-Length: 4"], b"5c\r\n" + HIDDEN + b"\r\n0\r\n\r\n"),
    "TE.TE": ([CHUNKED, "Transfer-Encoding: identity"], b"0\r\n\r\n" + HIDDEN),
    "TE twice": ([CHUNKED, CHUNKED], b"0\r\n\r\n" + HIDDEN),
    "TE list": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n" + HIDDEN),
    "TE list, chunked last": (["Transfer-Encoding: identity, chunked"], b"0\r\n\r\n" + HIDDEN),
    "TE unknown": (["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + HIDDEN),
    "TE quoted": (['Transfer-Encoding: "chunked"'], b"0\r\n\r\n" + HIDDEN),
    "TE with vertical tab": (["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n" + HIDDEN),
    "TE, space before the colon": (["Transfer-Encoding : chunked", LENGTH], HIDDEN),
    "TE, name begins with a space": ([" Transfer-Encoding: chunked", LENGTH], HIDDEN),
    "TE folded": (["Transfer-Encoding:\r\n chunked", LENGTH], HIDDEN),
    "CL space before the colon": (["Content-Length : 5"], b"hello"),
    "CL twice, the same": ([LENGTH, LENGTH], HIDDEN),
    "CL twice, different": ([LENGTH, "Content-Length: 0"], HIDDEN),
    "CL list": (["Content-Length: 5, 5"], b"hello"),
    "CL signed": (["Content-Length: +5"], b"hello"),
    "CL negative": (["Content-Length: -5"], b"hello"),
    "CL hexadecimal": (["Content-Length: 0x5"], b"hello"),
    "CL with a space inside": (["Content-Length: 5 0"], b"hello"),
    "CL too large for a reader": (["Content-Length: 99999999999999999999999"], b"hello"),
    "CL empty": (["Content-Length:"], b"hello"),
    "two hosts": (["Host: other.example"], b""),
    "folded field": (["X-A: b", " c: d"], b""),
    "NUL in a value": (["X-A: b\0c"], b""),
    "carriage return in a value": (["X-A: b\rX-B: c"], b""),
    "line feed in a value": (["X-A: b\nX-B: c"], b""),
    "no name": ([": b"], b""),
    "space in a name": (["X A: b"], b""),
    "no colon": (["X-A"], b""),
    "body after an upgrade": (["Upgrade: h2c", "Connection: Upgrade", LENGTH], HIDDEN),
    "body after a WebSocket's handshake": (
        ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
         "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", LENGTH], HIDDEN),
}  # fmt: skip

BAD_CHUNKS = {
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "signed size": b"+5\r\nhello\r\n0\r\n\r\n",
    "negative size": b"-5\r\nhello\r\n0\r\n\r\n",
    "size with 0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "size too large for a reader": b"ffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "space before the size": b" 5\r\nhello\r\n0\r\n\r\n",
    "bare line feeds": b"5\nhello\n0\n\n",
    "bare line feed in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "data longer than the size": b"3\r\nhello\r\n0\r\n\r\n",
    "two bytes that are no line end": b"5\r\nhelloXX0\r\n\r\n",
}

#: What stands for the request line and its end; ``PATH`` is the app's, with the session's cookie.
BAD_LINES = {
    "bare line feeds": b"GET PATH HTTP/1.1\nHost: localhost\nCOOKIE\n\n",
    "bare carriage returns": b"GET PATH HTTP/1.1\rHost: localhost\rCOOKIE\r\r",
    "a tab": b"GET\tPATH HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "a space in the target": b"GET PATH x HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "lower-case method": b"get PATH HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "unknown method": b"EVIL PATH HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "no version": b"GET PATH\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "HTTP/1.2": b"GET PATH HTTP/1.2\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "HTTP/2.0": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET PATH HTTP/1.1\r\nCOOKIE\r\n\r\n",
    "a space before the first field": b"GET PATH HTTP/1.1\r\n Host: localhost\r\nCOOKIE\r\n\r\n",
    "TRACE": b"TRACE PATH HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "CONNECT to a host": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "CONNECT to a path": b"CONNECT PATH HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
    "another host's address": b"GET http://169.254.169.254/a/b/c HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nCOOKIE\r\n\r\n",
}


#: What HAProxy puts right itself: the gateway, or the app, gets one good request.
MENDED = (
    "CL.TE", "TE.CL", "CL twice, the same", "CL list", "folded field", "line feed in a value",
    "body after an upgrade", "body after a WebSocket's handshake", "HTTP/1.2", "bare line feeds",
    "a tab",
)  # fmt: skip


def is_mended(talk, case) -> bool:
    """Whether HAProxy is in front and makes a good request of the case."""
    cases = AMBIGUOUS | BAD_LINES
    return talk.site.way == "haproxy" and any(case is cases[name] for name in MENDED)


def assert_one_good_request(talk):
    """The app hears one request, framed in one way, and behind it nothing."""
    app = talk.app()
    head = app.hears_head()
    assert head.first.endswith(" HTTP/1.1") and not any(
        name.strip() != name for name, _ in head.fields
    )
    talk.browser.close()
    rest = app.hears_end()
    assert len(head.all("content-length") + head.all("transfer-encoding")) <= 1
    if "content-length" in head:
        rest = rest[int(head["content-length"]) :]
    if "transfer-encoding" in head:
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            rest = rest[int(size, 16) + 2 :]
    assert rest == b""
    assert talk.nothing_reached_the_app()


def assert_peer_is_harmless(talk):
    """Another proxy may refuse, or make one good request of it, which h11 judges strictly."""
    came = select.select([talk.listener, talk.browser.sock], [], [], PEERS_PATIENCE)[0]
    if talk.listener not in came:
        assert refused(talk.browser.hears_end())
        assert talk.nothing_reached_the_app()
        return
    app = talk.app()
    head = app.hears_until(b"\r\n\r\n")
    talk.browser.close()
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(head + app.hears_end())
    events = iter(reader.next_event, h11.NEED_DATA)
    assert isinstance(next(events), h11.Request)
    assert isinstance(
        next(event for event in events if type(event) is not h11.Data), h11.EndOfMessage
    )
    assert reader.trailing_data[0] == b""
    assert talk.nothing_reached_the_app()


def named(cases):
    return [pytest.param(case, id=name) for name, case in cases.items()]


def refused(answer: bytes) -> bool:
    """Whether the first answer, if there is one, is an error, or none of HTTP/1.1's."""
    return not answer.startswith(b"HTTP/1.1 ") or answer[9:10] in b"45"


@pytest.mark.parametrize("case", named(AMBIGUOUS))
@pytest.mark.row(9)
def test_an_ambiguous_request_is_refused(talk, case):
    fields, body = case
    talk.browser.says(talk.request("", *fields, "Connection: close", method="POST", body=body))
    if talk.site.is_peer:
        assert_peer_is_harmless(talk)
        return
    if is_mended(talk, case):
        assert_one_good_request(talk)
        return
    assert refused(talk.browser.hears_end())
    assert talk.nothing_reached_the_app()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("field", [LENGTH, CHUNKED])
@pytest.mark.row(9)
def test_a_websockets_handshake_with_a_body_is_refused_at_once(talk, method, field):
    """Without a wish to close: nothing else would ever end such a connection."""
    handshake, _ = AMBIGUOUS["body after a WebSocket's handshake"]
    talk.browser.says(talk.request("", *handshake[:-1], field, method=method, body=HIDDEN))
    if talk.site.way == "haproxy" and field == LENGTH:  # which then is no handshake any more
        assert_one_good_request(talk)
        return
    assert talk.browser.hears_end().startswith(b"HTTP/1.1 400 ")
    assert talk.nothing_reached_the_app()


@pytest.mark.parametrize("case", named(BAD_LINES))
@pytest.mark.row(9)
def test_a_request_with_an_odd_first_line_or_end_is_refused(talk, case):
    cookie = f"Cookie: aen_gateway={talk.opened.session}".encode()
    data = case.replace(b"PATH", talk.opened.prefix.encode()).replace(b"COOKIE", cookie)
    talk.browser.says(data)
    if talk.site.is_peer:
        assert_peer_is_harmless(talk)
        return
    if is_mended(talk, case):
        assert_one_good_request(talk)
        return
    talk.browser.sock.shutdown(1)  # a reader that waits for more learns that none comes
    assert refused(talk.browser.hears_end())
    assert talk.nothing_reached_the_app()


@pytest.mark.parametrize("line", ["GET  PATH HTTP/1.1", "GET PATH RTSP/1.0"])
def test_a_sloppy_first_line_reaches_the_app_as_a_good_one(talk, line):
    plain = f"GET {talk.opened.prefix} HTTP/1.1"
    sloppy = line.replace("PATH", talk.opened.prefix)
    talk.browser.says(talk.request().replace(plain.encode(), sloppy.encode()))
    if talk.site.way == "haproxy" and "RTSP" in line:
        assert talk.browser.hears_head().status == 400
        return
    assert talk.app().hears_head().first == plain


@pytest.mark.parametrize("case", named(BAD_CHUNKS))
@pytest.mark.row(9)
def test_a_body_in_bad_chunks_ends_both_connections(talk, case):
    talk.browser.says(talk.request("", CHUNKED, method="POST", body=b"1\r\nx\r\n"))
    app = talk.app()
    app.hears_head()
    app.hears(b"1\r\nx\r\n")
    if talk.site.way == "haproxy" and case is BAD_CHUNKS["bare line feeds"]:
        talk.browser.says(case)
        app.hears(b"5\r\nhello\r\n0\r\n\r\n")
        return
    talk.browser.says(case + talk.request("next"))
    assert b"HTTP/1.1" not in app.hears_end()
    assert refused(talk.browser.hears_end())


@pytest.mark.row(6)
@pytest.mark.parametrize(
    "field", ["X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil", "X-Mine: 1"]
)
def test_trailers_that_come_with_the_head_are_no_header_fields_of_a_request(talk, field):
    body = f"2\r\nhi\r\n0\r\n{field}\r\n\r\n".encode()
    app, head = talk.asks("", CHUNKED, method="POST", body=body)
    name, _, value = field.partition(": ")
    assert value not in head.all(name.lower())
    assert app.hears_chunked() == b"hi"


@pytest.mark.row(11)
@pytest.mark.ours("how much of it others keep is theirs to say")
@pytest.mark.parametrize("kind", ["trailers", "extension"])
def test_what_is_said_around_a_body_has_an_end(talk, kind):
    talk.browser.says(talk.request("", CHUNKED, method="POST", body=b"2\r\nhi\r\n"))
    app = talk.app()
    app.hears_head()
    begin = b"0\r\nX-Long: " if kind == "trailers" else b"1;x="
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        talk.browser.says(begin + b"x" * 2_000_000)
    app.hears_end()
    talk.browser.hears_end()


@pytest.mark.row(9)
@pytest.mark.ours("it asks who it is")
def test_a_request_behind_one_without_body_is_judged_by_itself(talk):
    app, _ = talk.asks("", "Content-Length: 0", method="POST", body=HIDDEN)
    app.says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert talk.browser.hears_head().status == 200
    assert talk.browser.hears_head().status in (302, 401, 404)
    talk.browser.says(talk.request("next"))
    app.hears(f"GET {talk.opened.prefix}next HTTP/1.1\r\n".encode())


def absolute(talk, host, *fields):
    """Return a request whose target is absolute, and which is like others elsewhere."""
    prefix = talk.opened.prefix.encode()
    return talk.request("", *fields).replace(b" " + prefix, b" " + host + prefix, 1)


@pytest.mark.row(6)
def test_an_absolute_target_reaches_the_app_by_its_path_alone(talk):
    here = f"127.0.0.1:{talk.site.port}"
    talk.browser.says(absolute(talk, f"http://{here}".encode()))
    head = talk.app().hears_head()
    assert head.first == f"GET {talk.opened.prefix} HTTP/1.1"
    assert head["host"] == here
    assert talk.site.is_peer or head["x-forwarded-host"] == here  # which peers set if told to


HANDSHAKE = AMBIGUOUS["body after a WebSocket's handshake"][0][:-1]


@pytest.mark.parametrize("fields", [(), HANDSHAKE], ids=["request", "handshake"])
@pytest.mark.parametrize("host", [b"http://evil.example", b"http://a@127.0.0.1", b"http://"])
@pytest.mark.row(6)
def test_an_absolute_target_of_another_host_than_the_field_names_is_refused(talk, host, fields):
    talk.browser.says(absolute(talk, host, *fields))
    assert talk.browser.hears_head().status == 400
    assert talk.nothing_reached_the_app()


@pytest.mark.row(9)
def test_a_wish_for_http_2_is_not_passed_on(talk):
    _, head = talk.asks("", "Upgrade: h2c", "HTTP2-Settings: x", "Connection: Upgrade")
    assert not {"upgrade", "http2-settings", "connection"} & {name for name, _ in head.fields}


@pytest.mark.parametrize(
    "field",
    ["X-Forwarded-For", "x-forwarded-host", "X_Forwarded_For", "Forwarded", "X-Real-IP",
     "Remote-User", "REMOTE_USER", "X-Remote-User", "X-Forwarded-User", "X-Auth-Request-User",
     "X-AEN-User", "AEN-Inject", "X-Original-URL", "X-Rewrite-URL", "Proxy", "X-Token-Subject"],
)  # fmt: skip
@pytest.mark.row(6)
def test_no_field_says_in_our_place_who_or_where_the_client_is(talk, field):
    _, head = talk.asks("", f"{field}: spoofed")
    assert "spoofed" not in str(head.fields)
    assert head["x-forwarded-for"] == "127.0.0.1"


@pytest.mark.row(6)
def test_fields_named_in_connection_do_not_pass(talk):
    _, head = talk.asks("", "Connection: keep-alive, X-A, cookie", "X-A: 1", "X-B: 2")
    assert ("x-a" in head, "x-b" in head) == (False, True)


@pytest.mark.row(7)
@pytest.mark.ours("its cookies")
def test_the_app_sees_no_cookie_of_ours_and_sets_none(talk):
    app, head = talk.asks("", "Cookie: a=1; aen_session=s; __Host-aen_x=1; b=2")
    assert head["cookie"] == "a=1; b=2"
    app.says(b"HTTP/1.1 200 OK\r\nSet-Cookie: aen_gateway=x; Path=/\r\nSet-Cookie: =aen_x=1\r\n"
             b"Set-Cookie: a=2; Domain=example.com; Path=/\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
    assert talk.browser.hears_head().all("set-cookie") == [f"a=2; Path={talk.opened.prefix}"]


@pytest.mark.parametrize("path", ["../x", "%2e%2e/x", "a%2f..%2fb", "a/%2E./b", "..%5cx", "a%00b",
                                  "%c0%ae%c0%ae/x", "a\\..\\b"])  # fmt: skip
@pytest.mark.row(10)
@pytest.mark.ours("a path says whose app it is")
def test_no_path_leads_out_of_the_apps_own(talk, path):
    talk.browser.says(talk.request(path))
    assert talk.browser.hears_head().status == 400
    assert talk.nothing_reached_the_app()
