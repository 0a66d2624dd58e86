"""Files that name their environment's directory, made to name another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_agent.envtool.prefix import Baked, TooLong, rewritten

ROOM = 60
PLACEHOLDER = ("/opt/placehold" * 9)[:ROOM]
paths = st.text(st.sampled_from("abcdefgh-_/"), min_size=1, max_size=ROOM - 1).map(
    lambda t: f"/{t}"
)
# What lies around the paths in a program: anything, but nothing that looks like a path.
between = st.binary(max_size=12).map(lambda b: b.replace(b"/", b"\0"))


def as_installed(data: bytes, prefix: str) -> bytes:
    """Put the prefix into a program, as conda does: zeros behind the string keep its length."""
    parts = data.split(b"\0")
    for number, part in enumerate(parts):
        count = part.count(PLACEHOLDER.encode())
        new = part.replace(PLACEHOLDER.encode(), prefix.encode())
        parts[number] = new + b"\0" * (count * (ROOM - len(prefix)))
    return b"\0".join(parts)


@given(paths, paths, between, st.lists(st.sampled_from(["/lib", ":", "", "/xin/x"]), max_size=3))
def test_a_program_changed_twice_is_as_if_changed_once(old, new, other, suffixes):
    string = PLACEHOLDER + "".join(f"{suffix}:{PLACEHOLDER}" for suffix in suffixes)
    built = other + b"\0" + string.encode() + b"\0\0" + other + b"\0" + PLACEHOLDER.encode() + b"\0"
    there = as_installed(built, old)
    assert rewritten(there, Baked("binary", ROOM), old, new) == as_installed(built, new)


def test_a_program_without_room_is_refused():
    data = b"\0/short/lib\0\0\0"
    with pytest.raises(TooLong, match="room for a path of 6 bytes"):
        rewritten(data, Baked("binary", 6), "/short", "/longer")


def test_text_is_changed_where_the_path_ends():
    text = b"a=/e/one\nb=/e/one/bin\nc=/e/one-more\nd=/e/one.d\n"
    assert rewritten(text, Baked("text"), "/e/one", "/e/2") == (
        b"a=/e/2\nb=/e/2/bin\nc=/e/one-more\nd=/e/one.d\n"
    )


@pytest.mark.parametrize("new", ["/" + "x" * 130, "/with a space"])
def test_a_first_line_that_the_kernel_would_not_read_asks_env(new):
    script = b"#!/old/bin/python -E\nx = '/old'\n"
    out = rewritten(script, Baked("text"), "/old", new)
    assert out.splitlines()[0] in (b"#!/usr/bin/env python -E", b"#!/with a space/bin/python -E")
    assert out.endswith(f"x = '{new}'\n".encode())


def test_what_names_no_prefix_stays():
    for baked in (Baked("text"), Baked("binary", 80), Baked("copy")):
        assert rewritten(b"\0nothing\0", baked, "/old", "/new") == b"\0nothing\0"
    assert rewritten(b"/old", Baked("text"), "", "/new") == b"/old"
