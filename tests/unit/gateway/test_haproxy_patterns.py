"""What HAProxy is told apart by is made from the gateway's own rules, and catches all they catch."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.forwarding import MAX_HEADER_BYTES, app_cookie, check_path, fields, to_app, to_client
from gateway.forwarding.types import BadRequest
from gateway.haproxy import patterns
from gateway.haproxy.entries import escaped

PREFIX = b"/anna/work/lab/"
NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,14}", fullmatch=True) | st.sampled_from(
    sorted(name.decode() for name in fields._DROPPED | fields._NOT_TO_CLIENT | fields._BOUND)
    + [prefix.decode() + "x" for prefix in fields._SPOOFABLE_PREFIXES]
)
#: What the configuration itself sees to.
SEEN_TO = {"connection", "upgrade", "te", "content-length", "cookie", "host", "transfer-encoding"}
SAID = {name.decode() for name in fields._MAY_BE_SAID}


def matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def head(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in (*lines, ""))


def finds(pattern: str, text: str) -> bool:
    """As PCRE: a condition on a group that comes only behind it, which ``re`` does not know."""
    once = re.findall(r"\(\?\(([a-z]+)\)\(\?!\)\|\(\?P<\1>\)\)", pattern)
    for name in once:
        pattern = pattern.replace(f"(?({name})(?!)|(?P<{name}>))", "")
    names = [line.partition(":")[0] for line in text.split("\r\n")]
    found = re.search(pattern, text) is not None
    return found and all(names.count(name) <= 1 for name in once)


def is_plain(text: str) -> bool:
    plain = finds(patterns.plain_head(), text)
    assert not plain or finds(patterns.fair_head(), text)
    return plain


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_what_an_app_is_not_sent_is_left_to_the_gateway(names):
    sent = [(name.encode(), b"v") for name in names]
    passed = {name.decode() for name, _ in to_app(sent, b"", [], {})}
    if set(names) - passed - SEEN_TO:
        lines = head(*(f"{name}: v" for name in names))
        assert not finds(patterns.fair_head(), lines)


@pytest.mark.parametrize("value", ["a_b: c", "te, x-forwarded-for", "forwarded", "", "\xe9\t"])
def test_values_of_common_fields_say_nothing_about_names(value):
    assert is_plain(head("host: a", f"accept: {value}", "cookie: a=b"))


@pytest.mark.parametrize(
    "line",
    ["cookie: a", "host: b", "authorization: c", "x: a\0", "x: a\x0b", "x", "x-\xe9: a", "a b: c",
     "x_y: z", "sec-fetch-site: cross-site", "sec-fetch-site: same-site", "x: a\rb", "X: y"],
)  # fmt: skip
def test_a_head_with_such_a_line_is_left_to_the_gateway(line):
    lines = ("host: a", "cookie: a=b", "authorization: c")
    assert is_plain(head(*lines))
    for where in range(len(lines) + 1):
        text = head(*lines[:where], line, *lines[where:])
        assert not finds(patterns.fair_head(), text)


@pytest.mark.parametrize("name", ["origin", "upgrade", "te"])
def test_what_the_configuration_judges_is_not_plain_and_comes_once(name):
    assert not is_plain(head(f"{name}: a"))
    assert finds(patterns.fair_head(), head(f"{name}: a"))
    assert not finds(patterns.fair_head(), head(f"{name}: a", "x: y", f"{name}: a"))


def test_a_head_larger_than_the_gateway_takes_is_not_plain():
    size = MAX_HEADER_BYTES - len(head("x: "))
    assert is_plain(head(f"x: {'y' * size}"))
    assert not is_plain(head(f"x: {'y' * (size + 1)}"))


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_what_a_browser_is_not_sent_is_judged_by_name(names):
    answered = [(name.encode(), b"v") for name in names]
    passed = {name.decode() for name, _ in to_client(answered, PREFIX)}
    if set(names) - passed - SEEN_TO - {"set-cookie"} or {*names} & {"connection", *SAID}:
        assert matches(patterns.odd_answer_names(), ",".join(names))


@given(st.lists(st.sampled_from(["a", ".", "..", "%2e", "%2F", "%5c", "\\", "%00", "%c0%ae", ""])))
def test_a_path_that_is_refused_is_never_plain(parts):
    path = PREFIX.decode() + "/".join(parts)
    try:
        check_path(path.encode())
    except BadRequest:
        assert matches(patterns.odd_target(), path)
        assert matches(patterns.odd_target(), path + "?a=b")


@pytest.mark.parametrize(
    "target", ["/", "/a", "/a/b", "/a/b/c", "/a/b/c?d=/e/", "/a/b/c/?token=aen_x"]
)
def test_what_is_not_below_an_app_is_left_to_the_gateway(target):
    assert matches(patterns.odd_target(), target)


@pytest.mark.parametrize("target", ["/a/b/c/", "/a/b/c/d?token=x&q=%2f", "/a/b/c/a%20b/@x/y.js"])
def test_common_addresses_are_plain(target):
    assert not matches(patterns.odd_target(), target)


@given(st.text("aen_xyz=;-H ost/PpAThdomiSecurq\t", max_size=40))
def test_a_cookie_that_is_plain_needs_its_path_and_nothing_else(value):
    if matches(patterns.odd_cookie(), value):
        return
    rest = re.sub(r"(?i)^((?:[^;]|;(?!\s*path=))*)(?:;\s*path=/\s*)?(.*?)[\s;]*$", r"\1\2", value)
    ours = app_cookie(value.encode(), PREFIX)
    assert ours is not None
    parts = [part.strip() for part in f"{rest.rstrip('; ')}; Path={PREFIX.decode()}".split(";")]
    assert [part for part in parts if part and part.lower() != "path=/"] == [
        part for part in ours.decode().split("; ") if part
    ]


@pytest.mark.parametrize("value", ["keep-alive, X-A", "cookie", "close,authorization", "a close"])
def test_fields_named_in_connection_are_left_to_the_gateway(value):
    assert not finds(patterns.fair_head(), head(f"connection: {value}"))


@pytest.mark.parametrize("value", ["", "keep-alive", "Upgrade", "keep-alive, Upgrade", "close"])
def test_common_values_of_connection_are_plain(value):
    assert is_plain(head(f"connection: {value}"))


@given(st.binary(max_size=40).filter(lambda text: not set(text) & set(b"\n\r\0")))
def test_a_word_of_haproxys_command_line_says_what_it_holds(text):
    word = escaped(text)
    assert re.sub(rb"\\(.)", rb"\1", word, flags=re.DOTALL) == text
    assert not re.search(rb"(?<!\\)(?:\\\\)*[ ;<\t]", word)
