"""Heads that are read without a parser: only what a parser reads in the same way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forwarding import plain_fields
from gateway.upstream import AppResponse, AppUnreachable, plain_head

ODD = [
    b"Name : x\r\n", b" Name: x\r\n", b"A: x\r\n folded\r\n", b"A: x\nB: y\r\n", b"A: x\r\rB: y\r\n",
    b"A: \0\r\n", b"A: \x7f\r\n", b"A\r\n", b": x\r\n", b"\r\n", b"A: x\n", b"A: x\r",
    b"N\xc3: x\r\n", b"N(: x\r\n", b"a" * 65 + b": x\r\n",
]  # fmt: skip


@pytest.mark.parametrize("block", ODD)
def test_fields_that_could_be_read_in_two_ways_are_not_plain(block):
    assert plain_fields(block) is None
    assert plain_fields(b"Host: here\r\n" + block + b"B: y\r\n") is None
    assert plain_fields(b"A: x") is None


def test_plain_fields_are_named_in_lower_case_and_trimmed():
    assert plain_fields(b"Set-Cookie:a=1\r\nX-Y: \t b \xe9 \r\nX-Y:\r\n") == [
        (b"set-cookie", b"a=1"), (b"x-y", b"b \xe9"), (b"x-y", b""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x, close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
    ],
)
def test_heads_that_need_judgement_are_left_to_the_parser(head):
    assert plain_head(head + b"x") is None


def parsed(data, *, plain, monkeypatch):
    """Return what a response makes of ``data``, with or without the short way."""
    if not plain:
        monkeypatch.setattr("gateway.upstream.response.plain_head", lambda _: None)
    response = AppResponse(b"GET")
    try:
        response.feed(data)
    except AppUnreachable:
        return None
    headers = [(name, value.strip(b" \t")) for name, value in response.headers]
    return response.status, headers, response.take(), response.complete, response.keep_alive


names = st.sampled_from([b"Content-Length", b"Connection", b"X-A", b"Date", b"ETag"])
values = st.one_of(
    st.sampled_from([b"3", b"0", b"close", b"keep-alive", b"", b" x \t"]),
    st.binary(max_size=6).filter(lambda one: not set(one) & set(b"\r\n")),
)


@given(
    st.sampled_from([200, 204, 304, 404, 500]),
    st.lists(st.tuples(names, values), max_size=5),
    st.sampled_from([b"", b"abc", b"abcd"]),
)
def test_what_is_plain_is_what_the_parser_reads(status, fields, body):
    head = b"".join([name + b": " + value + b"\r\n" for name, value in fields])
    data = b"HTTP/1.1 %d Some words\r\n%b\r\n%b" % (status, head, body)
    if plain_head(data) is None:
        return
    with pytest.MonkeyPatch.context() as patch:
        found = parsed(data, plain=True, monkeypatch=patch)
        assert found == parsed(data, plain=False, monkeypatch=patch)
