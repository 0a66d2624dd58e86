"""The way out of too many cookies, wherever they were set and whatever they are called."""

import pytest

from gateway.clearing import clearing, clearing_of

PREFIX = b"/mira/load/lab/"
ABOVE = ("/mira", "/mira/", "/mira/load", "/mira/load/", "/mira/load/lab", "/mira/load/lab/")
pytestmark = pytest.mark.row(8)


def cleared(*cookies: str, domain: str = "") -> list[str]:
    line = "; ".join(cookies).encode()
    fields = clearing([(b"cookie", line)], PREFIX, domain.encode())
    assert {name for name, _ in fields} <= {b"set-cookie"}
    return [value.decode() for _, value in fields]


def test_a_cookie_is_cleared_at_every_path_from_which_it_may_have_come():
    wanted = [f"theme=; Max-Age=0; Path={path}" for path in ("/", *ABOVE)]
    assert cleared("theme=dark") == wanted
    everywhere = cleared("theme=dark", domain="apps.example")
    assert everywhere == wanted + [f"{one}; Domain=apps.example" for one in wanted]


@pytest.mark.parametrize("name", ["aen_x", "aen_signin_1", "AEN_Gateway", "__Secure-aen_x"])
def test_names_like_ours_are_no_hiding_place(name):
    assert any(one.startswith(f"{name}=; Max-Age=0; Path=/") for one in cleared(f"{name}=1"))


@pytest.mark.parametrize("name", ["aen_gateway", "aen_session", "aen_csrf", "__Host-aen_gateway"])
def test_what_one_is_signed_in_by_stays(name):
    assert cleared(f"{name}=1") == []


def test_of_our_cookie_and_its_like_only_ours_stays():
    """A page can set one for each path above it, and for the whole domain."""
    fields = cleared(*["aen_gateway=1"] * 9, domain="apps.example")
    assert "aen_gateway=; Max-Age=0; Path=/" not in fields
    assert {f"aen_gateway=; Max-Age=0; Path={path}" for path in ABOVE} <= set(fields)
    assert "aen_gateway=; Max-Age=0; Path=/; Domain=apps.example" in fields


def test_a_host_cookie_is_cleared_in_the_only_way_that_browsers_take():
    assert cleared("__Host-x=1", domain="apps.example") == ["__Host-x=; Max-Age=0; Path=/; Secure"]


def test_the_largest_go_first_and_the_answer_stays_small():
    fields = cleared(*[f"{'n' * 3000}{number}=1" for number in range(50)], f"big={'x' * 4000}")
    assert fields[0].startswith("big=") and sum(map(len, fields)) < 40_000
    assert len(cleared(f"{'n' * 4090}=1")) == 7


def test_the_beginning_of_a_head_is_enough():
    head = b"GET /mira/load/lab/x?y HTTP/1.1\r\nHost: h\r\ncookie: a=1; b=" + b"x" * 70_000
    names = {value.partition(b"=")[0] for _, value in clearing_of(head)}
    assert names == {b"a", b"b"}
    assert (b"set-cookie", b"a=; Max-Age=0; Path=/mira/load/lab/") in clearing_of(head)
    assert clearing_of(b"GET /-/signout HTTP/1.1\r\nCookie: a=1") == [
        (b"set-cookie", b"a=; Max-Age=0; Path=/")
    ]
    assert clearing_of(b"GET / HTTP/1.1\r\nHost: h") == clearing_of(b"\0") == []
