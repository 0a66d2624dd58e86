"""What of an app's answer goes out for each piece that comes in."""

import pytest
from websockets.utils import accept_key

from gateway.express.answer import Answer, whole_answer
from gateway.express.head import read_head
from gateway.upstream import AppUnreachable

PREFIX = b"/mira/study/lab/"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\n"
)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"


def asked(method="GET", more=""):
    text = f"{method} /mira/study/lab/ HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n"
    return Answer(read_head(text.encode()), PREFIX, b"")


@pytest.fixture
def answer():
    return asked()


def test_pieces_go_out_as_they_come(answer):
    assert answer.feed(HEAD[:20], last=False) == b""
    assert answer.status == 0
    head = answer.feed(HEAD[20:], last=False)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n")
    assert [answer.feed(piece, last=False) for piece in (b"ab", b"cd")] == [b"ab", b"cd"]
    assert answer.complete
    assert answer.keep_alive


def test_a_body_without_a_length_goes_out_in_chunks_to_the_end(answer):
    out = answer.feed(b"HTTP/1.1 200 OK\r\n\r\nab", last=False)
    assert b"\r\ntransfer-encoding: chunked\r\n" in out
    assert out.endswith(b"\r\n\r\n2\r\nab\r\n")
    assert answer.end(last=False) == b"0\r\n\r\n"
    assert not answer.keep_alive


def test_an_answer_to_head_has_no_body_to_wait_for():
    answer = asked("HEAD")
    assert b"\r\ncontent-length: 4\r\n" in answer.feed(HEAD, last=False)
    assert answer.complete


def test_the_last_answer_says_so(answer):
    assert b"\r\nconnection: close\r\n" in answer.feed(HEAD, last=True)


def test_what_is_said_ahead_goes_out_before_the_answer(answer):
    ahead = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert answer.feed(ahead, last=False).startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n")
    assert answer.status == 0
    assert answer.feed(HEAD, last=False).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_websocket_is_agreed_on_only_by_its_key():
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    right = f"{head}Sec-WebSocket-Accept: {accept_key(KEY)}\r\n\r\n".encode()
    answer = asked(more=HANDSHAKE)
    assert answer.feed(right + b"\x81\x00", last=False).startswith(b"HTTP/1.1 101 ")
    assert answer.switched
    assert answer.rest == b"\x81\x00"
    with pytest.raises(AppUnreachable):
        asked(more=HANDSHAKE).feed(right.replace(b"Accept: ", b"Accept: x"), last=False)


def test_an_answer_that_breaks_off_is_none(answer):
    with pytest.raises(AppUnreachable):
        answer.end(last=False)
    answer.feed(HEAD + b"a", last=False)
    with pytest.raises(AppUnreachable):
        answer.end(last=False)


def test_a_whole_answer_is_bound_to_the_path_of_its_own_app():
    data = HEAD[:-2] + b"Set-Cookie: a=1; Path=/\r\n\r\nabcd"
    for prefix in (PREFIX, b"/nora/study/lab/", PREFIX):
        status, out, keep = whole_answer(data, prefix, b"")
        assert (status, keep) == (200, True)
        assert b"\r\nset-cookie: a=1; Path=" + prefix + b"\r\n" in out
        assert out.endswith(b"\r\n\r\nabcd")


@pytest.mark.parametrize(
    "data", [HEAD + b"abc", HEAD + b"abcde", HEAD[:-1], b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_what_is_not_whole_is_for_the_parser(data):
    assert whole_answer(data, PREFIX, b"") is None
