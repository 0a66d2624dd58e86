"""Reading an app's response: where it begins, where it ends, whether the connection is usable."""

import pytest

from gateway.upstream import AppResponse, AppUnreachable


def read(*pieces: bytes, method: bytes = b"GET", eof: bool = False) -> tuple[AppResponse, bytes]:
    response, body = AppResponse(method), b""
    for piece in pieces:
        response.feed(piece)
        body += response.take()
    if eof:
        response.feed_eof()
        body += response.take()
    return response, body


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_a_response_of_known_length():
    response, body = read(HEAD + b"hello")
    assert (response.status, body, response.complete, response.keep_alive) == (
        200, b"hello", True, True,
    )  # fmt: skip


def test_a_response_in_single_bytes():
    whole = HEAD + b"hello"
    response, body = read(*(whole[i : i + 1] for i in range(len(whole))))
    assert (body, response.complete) == (b"hello", True)
    assert response.headers == [(b"content-length", b"5")]


def test_a_chunked_response():
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    response, body = read(head, b"5\r\nhello\r\n", b"0\r\n\r\n")
    assert (body, response.complete, response.keep_alive) == (b"hello", True, True)


def test_a_response_that_lasts_until_the_end_of_the_connection():
    response, body = read(b"HTTP/1.1 200 OK\r\n\r\n", b"hello", eof=True)
    assert (body, response.complete, response.keep_alive) == (b"hello", True, False)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"HTTP/1.1 200 OK\r\n"],
        [HEAD + b"hel"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"],
    ],
)
def test_a_response_that_is_cut_off_is_an_error(pieces):
    with pytest.raises(AppUnreachable):
        read(*pieces, eof=True)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    ],
)
def test_what_is_not_plainly_http_is_an_error(data):
    with pytest.raises(AppUnreachable):
        read(data, eof=True)


def test_interim_answers_are_kept_apart():
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    response, body = read(interim + HEAD + b"hello")
    assert (response.status, body) == (200, b"hello")
    assert response.headers == [(b"content-length", b"5")]
    assert response.take_interim(b"/", b"") == [(100, []), (103, [(b"link", b"</x>")])]
    assert response.take_interim(b"/", b"") == []


def test_a_length_in_an_interim_answer_is_none():
    interim = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\nConnection: x\r\nX: 1\r\n\r\n"
    response, body = read(interim + HEAD + b"hello")
    assert (response.status, body) == (200, b"hello")
    assert response.take_interim(b"/", b"") == [(103, [])]


def test_the_answer_to_head_has_no_body():
    response, body = read(HEAD, method=b"HEAD")
    assert (body, response.complete, response.keep_alive) == (b"", True, True)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_some_answers_never_have_a_body(status):
    response, _ = read(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    assert response.complete


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_after_bytes_that_nobody_asked_for_the_connection_is_not_used_again(method):
    body = b"" if method == b"HEAD" else b"hello"
    response, _ = read(HEAD + body + HEAD + b"other", method=method)
    assert response.complete
    assert not response.keep_alive


def test_an_app_may_ask_for_the_connections_end():
    response, _ = read(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert not response.keep_alive
