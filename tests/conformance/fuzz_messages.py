"""Strategies for HTTP messages: valid, odd, and broken ones; and for how they are cut to pieces."""

from itertools import pairwise
from typing import NamedTuple

from hypothesis import strategies as st

_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAMES = st.text(_TOKEN, min_size=1, max_size=12).map(lambda name: "X-" + name)
_VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=24
).map(lambda value: value.strip())
_KNOWN = st.sampled_from([
    ("Accept", "*/*"), ("Range", "bytes=0-1"), ("If-None-Match", '"a"'), ("TE", "trailers"),
    ("Connection", "keep-alive"), ("Connection", "x-hop"), ("X-Hop", "1"), ("Keep-Alive", "5"),
    ("Cookie", "a=1; aen_session=x"), ("Forwarded", "for=6.6.6.6"), ("Accept-Encoding", "gzip"),
    ("Content-Type", "text/plain"), ("X-Forwarded-For", "6.6.6.6"), ("Via", "1.1 x"),
])  # fmt: skip
_SEGMENT = st.one_of(
    st.text("abcXYZ019-._~!$&'()*+,;=:@", min_size=1, max_size=8).filter(
        lambda text: text not in (".", "..")
    ),
    st.sampled_from(["%20", "%C3%A9", "%25", "a%3Fb", "%7e"]),
)
_QUERY = st.text("abc019=&%25/?+;:@!-._~", max_size=12).map(lambda text: text.replace("%", "%25"))


class Asking(NamedTuple):
    """One request, as it is to be sent; ``body`` is ``None`` for one without framing."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes | None
    chunks: list[tuple[bytes, str]]
    trailers: list[tuple[str, str]]

    def raw(self, prefix: str, *always: str) -> bytes:
        lines = [f"{self.method} {prefix}{self.target} HTTP/1.1", *always]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.chunks:
            lines.append("Transfer-Encoding: chunked")
        elif self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head + (self._chunked() if self.chunks else self.body or b"")

    def _chunked(self) -> bytes:
        parts = [b"%x%b\r\n%b\r\n" % (len(data), more.encode(), data) for data, more in self.chunks]
        trailers = "".join(f"{name}: {value}\r\n" for name, value in self.trailers)
        return b"".join(parts) + b"0\r\n" + trailers.encode("latin-1") + b"\r\n"

    @property
    def whole_body(self) -> bytes:
        return b"".join(data for data, _ in self.chunks) if self.chunks else self.body or b""


_chunk = st.tuples(st.binary(min_size=1, max_size=40), st.sampled_from(["", "", ";a=b", ';a="b"']))
_trailers = st.lists(st.tuples(_NAMES, st.just("t")), max_size=2)


@st.composite
def requests(draw, methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")):
    """Return a valid request, perhaps an odd one."""
    method = draw(st.sampled_from(methods))
    target = "/".join(draw(st.lists(_SEGMENT, max_size=3)))
    # A query that is empty is none: ASGI cannot tell the two apart.
    target += draw(_QUERY.map(lambda query: "?" + query if query else ""))
    fields = draw(st.lists(st.one_of(st.tuples(_NAMES, _VALUES), _KNOWN), max_size=5))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if framing == "none":
        return Asking(method, target, fields, None, [], [])
    if framing == "length":
        return Asking(method, target, fields, draw(st.binary(max_size=200)), [], [])
    chunks, trailers = draw(st.lists(_chunk, min_size=1, max_size=4)), draw(_trailers)
    return Asking(method, target, fields, None, chunks, trailers)


class Answering(NamedTuple):
    """One response: ``body`` in the framing ``length``, ``chunked``, ``close`` or ``none``."""

    status: int
    fields: list[tuple[str, str]]
    framing: str
    body: bytes
    interim: list[bytes]
    chunks: list[tuple[bytes, str]]
    trailers: list[tuple[str, str]]

    def raw(self, number: int) -> bytes:
        lines = [f"HTTP/1.1 {self.status} Odd", f"X-Number: {number}"]
        lines += [f"{name}: {value}" for name, value in self.fields]
        if self.framing == "length":
            lines.append(f"Content-Length: {len(self.body)}")
        if self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return b"".join(self.interim) + head + self._body()

    def _body(self) -> bytes:
        if self.framing == "chunked":
            return Asking("", "", [], None, self.chunks, self.trailers)._chunked()
        return b"" if self.framing == "none" else self.body

    @property
    def whole_body(self) -> bytes:
        if self.framing == "chunked":
            return b"".join(data for data, _ in self.chunks)
        return b"" if self.framing == "none" else self.body


@st.composite
def answers(draw):
    """Return a valid response to a GET, perhaps an odd one."""
    framing = draw(st.sampled_from(["length", "chunked", "close", "none"]))
    bare = framing == "none"
    status = draw(st.sampled_from([204, 304] if bare else [200, 201, 206, 299, 404, 418, 500, 599]))
    fields = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
    interim = draw(st.lists(st.sampled_from([
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ]), max_size=2))  # fmt: skip
    body = draw(st.binary(max_size=200))
    chunks = draw(st.lists(_chunk, min_size=1, max_size=4))
    return Answering(status, fields, framing, body, interim, chunks, draw(_trailers))


_EVIL = [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"0", b"9", b"\x80", b"\x0b",
         b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"\r\n\r\n", b"-",
         b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
         b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]  # fmt: skip
_DAMAGE = st.tuples(
    st.sampled_from(["insert", "delete", "replace", "repeat"]),
    st.floats(0, 1, exclude_max=True), st.integers(1, 12), st.sampled_from(_EVIL),
)  # fmt: skip
DAMAGES = st.lists(_DAMAGE, min_size=1, max_size=3)
CUTS = st.lists(st.floats(0, 1, exclude_max=True), max_size=5)


def damaged(data: bytes, damages) -> bytes:
    """Return ``data`` with some of it changed."""
    for what, where, size, evil in damages:
        at = int(where * len(data))
        if what == "insert":
            data = data[:at] + evil + data[at:]
        elif what == "delete":
            data = data[:at] + data[at + size :]
        elif what == "replace":
            data = data[:at] + evil + data[at + len(evil) :]
        else:
            data = data[: at + size] + data[at:]
    return data


def cut(data: bytes, cuts) -> list[bytes]:
    """Return ``data`` in pieces."""
    places = sorted({0, len(data), *(int(where * len(data)) for where in cuts)})
    return [data[start:end] for start, end in pairwise(places)] or [data]
