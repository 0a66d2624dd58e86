"""HTTP/1.1 through the gateway (RFC 9110, 9112), on each of its ways, as two-way transcripts."""

import contextlib
import re
import socket

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


# --- what reaches the app ------------------------------------------------------------------------


def test_the_target_passes_byte_for_byte(talk):
    target = "a%2Fb%20c/%C3%A9;x=1//y?q=%2f&q=a+b&=%25"
    _, head = talk.asks(target)
    assert head.first == f"GET {talk.opened.prefix}{target} HTTP/1.1"


def test_fields_of_one_name_pass_in_their_order(talk):
    _, head = talk.asks("", "X-A: 1", "X-B: b", "X-A: 2, 3", "X-A:")
    assert head.all("x-a") == ["1", "2, 3", ""]


def test_one_host_and_no_fields_of_the_connection_pass(talk):
    _, head = talk.asks("", "Connection: keep-alive", "TE: trailers", "Keep-Alive: 5")
    assert head["host"] == f"127.0.0.1:{talk.site.port}"
    assert not {"connection", "te", "keep-alive"} & {name for name, _ in head.fields}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_body_of_known_length_passes(talk, method):
    app, head = talk.asks("", "Content-Length: 5", method=method, body=b"he")
    assert (head.first.split(" ")[0], head["content-length"]) == (method, "5")
    app.hears(b"he")
    talk.browser.says(b"llo")
    app.hears(b"llo")
    app.says(OK)
    assert talk.browser.hears_head().status == 200


def test_an_empty_body_of_known_length_passes(talk):
    _, head = talk.asks("", "Content-Length: 0", method="POST")
    assert head["content-length"] == "0"


def test_a_body_in_chunks_passes_in_chunks_without_extensions_and_trailers(talk):
    first = b'5;name="value"\r\nhello\r\n'
    app, head = talk.asks("", "Transfer-Encoding: chunked", method="POST", body=first)
    assert head["transfer-encoding"] == "chunked"
    app.hears_until(b"hello\r\n")
    talk.browser.says(b"0\r\nX-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\n\r\n")
    app.hears(b"0\r\n\r\n")
    app.says(OK)
    assert talk.browser.hears_head().status == 200


def test_a_body_is_asked_for_after_admission_and_the_app_is_not_asked_to(talk):
    fields = ("Expect: 100-continue", "Content-Length: 3")
    talk.browser.says(talk.request("", *fields, method="POST"))
    talk.browser.hears(b"HTTP/1.1 100 Continue\r\n\r\n")
    talk.browser.says(b"abc")
    app = talk.app()
    assert "expect" not in app.hears_head()
    app.hears(b"abc")
    app.says(OK)
    assert talk.browser.hears_head().status == 200


@pytest.mark.ours("it asks who it is")
def test_no_body_is_asked_for_before_admission(talk):
    anonymous = talk.request("", "Expect: 100-continue", "Content-Length: 3", method="POST")
    talk.browser.says(anonymous.replace(b"aen_gateway", b"aen_other"))
    assert talk.browser.hears_head().status == 401


def test_a_request_of_http_1_0_is_answered_and_the_connection_closed(talk):
    talk.browser.says(talk.request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    app = talk.app()
    assert app.hears_head().first.endswith(" HTTP/1.1")
    app.says(OK)
    assert talk.browser.hears_end().endswith(b"\r\n\r\nok")


def test_a_head_in_single_bytes_is_one_request(talk):
    for byte in talk.request("slow"):
        talk.browser.says(bytes((byte,)))
    assert talk.app().hears_head().first.startswith(f"GET {talk.opened.prefix}slow ")


def test_header_fields_of_40_kilobytes_pass(talk):
    _, head = talk.asks("", "X-Large: " + "x" * 40_000)
    assert len(head["x-large"]) == 40_000


@pytest.mark.parametrize("size", [8_000, 40_000])
def test_a_long_target_passes(talk, size):
    _, head = talk.asks("x" * size)
    assert len(head.first) > size


def test_a_target_without_end_is_refused(talk):
    talk.browser.says(f"GET {talk.opened.prefix}".encode())
    with pytest.raises(OSError):
        for _ in range(10_000):
            talk.browser.says(b"x" * 1000)
    assert talk.nothing_reached_the_app()


@pytest.mark.parametrize("size", [50_000, 200_000])
def test_larger_header_fields_are_refused(talk, size):
    talk.browser.says(talk.request("", "X-Large: " + "x" * size))
    # More than HAProxy has room for is no request to it; to NGINX neither.
    unread = talk.site.way == "nginx" or (talk.site.way == "haproxy" and size > 80_000)
    assert talk.browser.hears_head().status == (400 if unread else 431)
    assert talk.nothing_reached_the_app()


def test_a_head_without_end_is_refused(talk):
    talk.browser.says(talk.request()[:-2])
    with pytest.raises(OSError):
        for number in range(10_000):
            talk.browser.says(b"X-%d: %b\r\n" % (number, b"x" * 1000))
    assert talk.nothing_reached_the_app()


# --- what reaches the browser --------------------------------------------------------------------


@pytest.mark.row(12)
@pytest.mark.ours("apps are kept apart")
def test_other_origins_neither_frame_nor_embed_an_app(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nContent-Security-Policy: default-src 'self'\r\n"
             b"Service-Worker-Allowed: " + talk.opened.prefix.encode() + b"../\r\n"
             b"Cross-Origin-Opener-Policy: same-origin\r\nContent-Length: 2\r\n\r\nok")  # fmt: skip
    head = talk.browser.hears_head()
    policies = ["default-src 'self'", "frame-ancestors 'self'"]
    assert head.all("content-security-policy") == policies
    assert head["cross-origin-resource-policy"] == "same-origin"
    assert head["cross-origin-opener-policy"] == "same-origin"
    assert "service-worker-allowed" not in head


def test_fields_of_one_name_come_back_in_their_order(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nSet-Cookie: b=2; Path=/\r\n"
             b"X-A: 2\r\nContent-Length: 0\r\n\r\n")  # fmt: skip
    head = talk.browser.hears_head()
    ours = [f"a=1; Path={talk.opened.prefix}", f"b=2; Path={talk.opened.prefix}"]
    assert head.all("set-cookie") == (["a=1", "b=2; Path=/"] if talk.site.is_peer else ours)
    assert head.all("x-a") == ["1", "2"]


def test_a_body_in_chunks_comes_back_in_chunks_without_extensions_and_trailers(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n")
    head = talk.browser.hears_head()
    assert head["transfer-encoding"] == "chunked"
    app.says(b"6\r\n world\r\n0\r\nSet-Cookie: aen_gateway=x\r\n\r\n")
    if talk.site.way == "haproxy":  # trailers pass; browsers make nothing of them
        assert talk.browser.hears_until(b"\r\n0\r\n") == b"5\r\nhello\r\n6\r\n world\r\n0\r\n"
        return
    assert talk.browser.hears_chunked() == b"hello world"


def test_trailers_that_come_with_the_head_are_no_header_fields(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n")
    assert "x-t" not in talk.browser.hears_head()
    talk.browser.hears(b"2\r\nok\r\n0\r\n" + (b"" if talk.site.way == "haproxy" else b"\r\n"))


def test_an_answer_that_ends_with_the_connection_is_whole(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.0 200 OK\r\n\r\nhello")
    app.close()
    head = talk.browser.hears_head()
    if "transfer-encoding" in head:
        assert talk.browser.hears_chunked() == b"hello"
    else:
        assert talk.browser.hears_end() == b"hello"


def test_an_answer_that_is_cut_off_is_cut_off(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    talk.browser.hears_until(b"hello")
    app.close()
    assert talk.browser.hears_end() == b""


def test_chunks_that_are_cut_off_are_cut_off(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    talk.browser.hears_until(b"hello\r\n")
    app.close()
    assert b"0\r\n\r\n" not in talk.browser.hears_end()


def test_events_come_as_the_app_sends_them(talk):
    app, _ = talk.asks("", "Accept: text/event-stream")
    app.says(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    talk.browser.hears_head()
    for event in (b"data: one\n\n", b"data: two\n\n"):
        app.says(event)
        talk.browser.hears_until(event)


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
def test_interim_answers_reach_the_browser_as_they_come(talk, interim):
    app, _ = talk.asks()
    fields = "Link: </a>\r\nSet-Cookie: aen_x=1\r\nKeep-Alive: 5\r\n"
    app.says(f"HTTP/1.1 {interim}\r\n{fields}\r\n".encode())
    if talk.site.way != "consumers":  # for which ASGI has no message
        early = talk.browser.hears_head()
        assert (early.first, early["link"]) == (f"HTTP/1.1 {interim}", "</a>")
        if talk.site.way == "express":  # HAProxy passes them on as they are
            assert early.fields == [("link", "</a>")]
    app.says(OK)
    head = talk.browser.hears_head()
    assert (head.status, "link" in head) == (200, False)
    talk.browser.hears(b"ok")


def test_interim_answers_are_passed_on_one_by_one_and_one_100_alone(talk):
    app, _ = talk.asks("", "Content-Length: 2", method="POST", body=b"ab")
    early = [b"100 Continue", b"100 Continue", b"102 Processing", b"103 Early Hints"]
    app.says(b"".join(b"HTTP/1.1 %b\r\n\r\n" % one for one in early) + OK)
    wanted = {"express": early[1:], "consumers": []}.get(talk.site.way, early)
    for line in [*wanted, b"200 OK"]:
        assert talk.browser.hears_head().first == f"HTTP/1.1 {line.decode()}"
    talk.browser.hears(b"ok")


def test_a_body_that_was_asked_for_is_not_asked_for_again_by_the_app(talk):
    fields = ("Expect: 100-continue", "Content-Length: 2")
    talk.browser.says(talk.request("", *fields, method="POST"))
    talk.browser.hears(b"HTTP/1.1 100 Continue\r\n\r\n")
    talk.browser.says(b"ab")
    app = talk.app()
    app.hears_head()
    app.says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert talk.browser.hears_head().status == 200


def test_interim_answers_do_not_reach_http_1_0(talk):
    talk.browser.says(talk.request().replace(b"HTTP/1.1", b"HTTP/1.0"))
    app = talk.app()
    app.hears_head()
    app.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    answer = talk.browser.hears_end()
    assert (answer[9:12], b"103" in answer) == (b"200", False)


def test_a_proxy_that_speaks_for_others_is_spared_interim_answers(talk):
    """Older NGINX takes one for the answer itself; HAProxy in front of us is not such a one."""
    if talk.site.way == "haproxy":
        pytest.skip("who is in front of HAProxy is not asked there")
    app, _ = talk.asks("", "X-Forwarded-For: 192.0.2.7")
    app.says(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
    assert talk.browser.hears_head().status == 200
    talk.browser.hears(b"ok")


def test_what_looks_like_an_interim_answer_behind_the_head_is_none(talk):
    app, _ = talk.asks(method="HEAD")
    app.says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n")
    assert talk.browser.hears_head().status == 200
    talk.browser.says(talk.request("next"))
    again = talk.app()
    again.hears_head()
    again.says(OK)
    assert talk.browser.hears_head().status == 200


def test_an_app_that_ends_after_an_interim_answer_is_not_asked_again(talk):
    """It has begun to work on the request."""
    app, _ = talk.asks("one")
    app.says(OK)
    talk.browser.hears_until(b"ok")
    talk.browser.says(talk.request("two"))
    app.hears_until(b"\r\n\r\n")
    app.says(b"HTTP/1.1 102 Processing\r\n\r\n")
    app.close()
    if talk.site.way == "haproxy":  # it may ask again, as a GET allows, or end the connection
        return
    if talk.site.way != "consumers":
        assert talk.browser.hears_head().status == 102
    assert talk.browser.hears_head().says_that_the_app_failed
    assert talk.nothing_reached_the_app()


def test_an_answer_to_head_has_a_length_and_no_body(talk):
    app, head = talk.asks(method="HEAD")
    assert head.first.startswith("HEAD ")
    app.says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    assert talk.browser.hears_head()["content-length"] == "1000"
    talk.browser.says(talk.request("next"))
    app.hears_until(b"/next HTTP/1.1")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_body_leave_the_connections_usable(talk, status):
    app, _ = talk.asks()
    app.says(f'HTTP/1.1 {status}\r\nETag: "a"\r\n\r\n'.encode())
    head = talk.browser.hears_head()
    assert (head["etag"], "transfer-encoding" in head) == ('"a"', False)
    talk.browser.says(talk.request("next"))
    app.hears_until(b"/next HTTP/1.1")


@pytest.mark.parametrize("length", [True, False])
def test_a_coding_that_browser_and_app_agree_on_is_left_alone(talk, length):
    app, head = talk.asks("", "Accept-Encoding: gzip, br")
    assert head["accept-encoding"] == "gzip, br"
    body = b"\x1f\x8b not really"
    framing = b"Content-Length: %d" % len(body) if length else b"Transfer-Encoding: chunked"
    sent = body if length else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    own = b"Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"
    app.says(b"HTTP/1.1 200 OK\r\n" + own + framing + b"\r\n\r\n" + sent)
    head = talk.browser.hears_head()
    assert (head["content-encoding"], head["vary"]) == ("gzip", "Accept-Encoding")
    assert (talk.browser.hears_bytes(len(body)) if length else talk.browser.hears_chunked()) == body


def test_ranges_pass(talk):
    app, head = talk.asks("", "Range: bytes=0-1", 'If-Range: "a"')
    assert (head["range"], head["if-range"]) == ("bytes=0-1", '"a"')
    app.says(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\n"
             b"Content-Length: 2\r\n\r\nab")  # fmt: skip
    head = talk.browser.hears_head()
    assert (head.status, head["content-range"]) == (206, "bytes 0-1/9")


#: Answers that HAProxy makes good ones of: by the chunks alone, and in one line.
MENDED_BY_HAPROXY = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\nContent-Length: 0\r\n\r\n",
)


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_is_no_plain_http_gives_a_page(talk, answer):
    mended = answer in MENDED_BY_HAPROXY and talk.site.way == "haproxy"
    app, _ = talk.asks("", method="POST")
    with contextlib.suppress(ConnectionError):  # the gateway need not hear all of it
        app.says(answer)
    app.close()
    head = talk.browser.hears_head()
    if talk.site.is_peer:
        assert head.says_that_the_app_failed
    else:
        assert head.status == (200 if mended else 502)


# --- connections ---------------------------------------------------------------------------------


def test_both_connections_are_used_again(talk):
    app, _ = talk.asks("one")
    for name in (b"two", b"three"):
        app.says(OK)
        talk.browser.hears_head()
        talk.browser.hears(b"ok")
        talk.browser.says(talk.request(name.decode()))
        app.hears_until(b"/" + name + b" HTTP/1.1")
        app.hears_head()


def test_requests_sent_at_once_are_answered_in_their_order(talk):
    talk.browser.says(talk.request("one") + talk.request("two") + talk.request("three"))
    app = talk.app()
    for name in (b"one", b"two", b"three"):
        app.hears_until(b"/" + name + b" HTTP/1.1")
        app.hears_head()
        app.says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name))
        talk.browser.hears_head()
        talk.browser.hears(name)


def test_what_follows_a_body_is_the_next_request(talk):
    app, _ = talk.asks("", "Content-Length: 2", method="POST", body=b"ab" + talk.request("two"))
    app.hears(b"ab")
    app.says(OK)
    app.hears_until(b"/two HTTP/1.1")


def test_an_answer_that_asks_to_close_is_the_last_of_its_connection(talk):
    app, _ = talk.asks("one")
    app.says(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    talk.browser.hears_head()
    talk.browser.hears(b"ok")
    talk.browser.says(talk.request("two"))
    assert talk.app().hears_head().first.startswith(f"GET {talk.opened.prefix}two ")


def test_what_an_app_sends_unasked_is_nobodys_answer(talk):
    app, _ = talk.asks("one")
    app.says(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    talk.browser.hears_head()
    talk.browser.hears(b"ok")
    talk.browser.says(talk.request("two"))
    second = talk.app()
    second.hears_head()
    second.says(OK)
    talk.browser.hears_head()
    talk.browser.hears(b"ok")


def test_a_get_that_meets_a_closing_connection_is_sent_again(talk):
    app, _ = talk.asks("one")
    app.says(OK)
    talk.browser.hears_head()
    talk.browser.hears(b"ok")
    browser = talk.browser
    if talk.site.way == "haproxy":  # it leaves one right behind another to the browser
        app.close()
        browser = talk.new_browser()
    browser.says(talk.request("two"))
    if talk.site.way == "haproxy":
        app = talk.app()
    app.hears_until(b"\r\n\r\n")
    app.close()  # without an answer: as if it had been closed before
    again = talk.app()
    again.hears_head()
    again.says(OK)
    assert browser.hears_head().status == 200


def test_a_post_that_may_have_arrived_is_not_sent_again(talk):
    app, _ = talk.asks("one")
    app.says(OK)
    talk.browser.hears_head()
    talk.browser.hears(b"ok")
    talk.browser.says(talk.request("two", "Content-Length: 0", method="POST"))
    app.hears_until(b"\r\n\r\n")
    app.close()
    if talk.site.way == "haproxy":  # it leaves it to the browser, without a word
        assert talk.browser.hears_end() == b""
    else:
        head = talk.browser.hears_head()
        assert head.status == 502 or (talk.site.is_peer and head.says_that_the_app_failed)
    assert talk.nothing_reached_the_app()


def test_a_browser_that_goes_away_ends_the_apps_work(talk):
    app, _ = talk.asks()
    talk.browser.close()
    assert app.hears_end() == b""


def test_a_browser_that_goes_away_in_an_upload_ends_it(talk):
    app, _ = talk.asks("", "Content-Length: 100", method="POST", body=b"first")
    app.hears(b"first")
    talk.browser.close()
    assert app.hears_end() == b""


def test_a_browser_that_goes_away_in_an_answer_ends_it(talk):
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst")
    talk.browser.hears_until(b"first")
    talk.browser.close()
    assert app.hears_end() == b""


def test_a_browser_that_only_ends_its_own_side_counts_as_gone(talk):
    app, _ = talk.asks()
    talk.browser.sock.shutdown(socket.SHUT_WR)
    assert app.hears_end() == b""


def test_an_answer_that_comes_before_the_body_has_gone_reaches_the_browser(talk):
    app, _ = talk.asks("", "Content-Length: 10", method="POST", body=b"first")
    app.says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    assert talk.browser.hears_head().status == 413
    talk.browser.hears(b"no")
    if talk.site.way == "haproxy":  # it goes on passing the body to an app that still takes it
        talk.browser.close()
    assert app.hears_end().startswith(b"first")


def test_after_an_early_answer_the_body_is_not_read_as_a_request(talk):
    smuggled = talk.request("smuggled")
    length = f"Content-Length: {len(smuggled)}"
    app, _ = talk.asks("", length, method="POST", body=smuggled[:5])
    app.says(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    talk.browser.hears_until(b"no")
    talk.browser.says(smuggled[5:] + talk.request("next"))
    if talk.site.way == "haproxy":
        app.hears(smuggled)
        app.hears(f"GET {talk.opened.prefix}next HTTP/1.1\r\n".encode())
        return
    assert talk.app().hears_head().first.startswith(f"GET {talk.opened.prefix}next ")


# --- what is counted -----------------------------------------------------------------------------


@pytest.mark.ours("its ways")
def test_requests_take_the_way_that_was_chosen(site, talk):
    if site.way == "haproxy":
        before = haproxys_count(site)
        app, _ = talk.asks()
        app.says(b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n")
        talk.browser.hears_head()
        assert haproxys_count(site) == before + 1
        return
    counted = f'way="{site.way}",status="299"'
    assert counted not in site.metrics()
    app, _ = talk.asks()
    app.says(b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n")
    talk.browser.hears_head()
    assert counted + "} 1" in site.metrics()


def haproxys_count(site) -> int:
    found = re.search(r'haproxy_requests_total\{status="2xx"\} (\d+)', site.metrics())
    return int(found[1])


@pytest.mark.ours("its metrics")
def test_metrics_are_shown_for_their_secret_only(site):
    with site.client() as client:
        for shown in ({}, {"Authorization": "Bearer wrong"}):
            assert client.get(f"{site.url}/-/metrics", headers=shown).status_code == 404
