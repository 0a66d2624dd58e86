"""The addresses of apps: one label of a host's name for each app, and for no other."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.protocol.origins import app_address, has_origins, label, own_address, path_of

NAMES = st.from_regex(r"[a-z][a-z0-9-]{1,31}", fullmatch=True)
FEW = st.sampled_from(["ab", "a-", "a--b", "abc", "b-c", "a-b", "b--c", "c--", "xn", "a" * 32])
APPS = st.tuples(NAMES | FEW, NAMES | FEW, NAMES | FEW)


@given(APPS)
@example(("a" * 32, "b" * 32, "c" * 32))
@example(("owner", "project", "xn"))
@example(("owner", "project", "a-" * 16))
def test_a_label_is_one_that_dns_and_browsers_take(app):
    found = label(*app)
    assert re.fullmatch(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", found)
    assert found[2:4] != "--", "names like these mean something else (xn--)"


@given(APPS, APPS)
@example(("c", "b", "a--a"), ("c", "a--b", "a"))
@example(("c", "b-", "abc"), ("-c", "b", "abc"))
def test_no_two_apps_have_one_label(one, other):
    assert (label(*one) == label(*other)) == (one == other)


@given(APPS)
def test_a_label_without_a_digest_says_which_app_it_is(app):
    found = path_of(label(*app))
    assert found is None or found == "/{}/{}/{}/".format(*app)


@given(st.text("abz019-", max_size=70))
def test_whatever_stands_before_the_domain_names_one_app_or_none(text):
    path = path_of(text)
    if path is not None and len(text) <= 63 and text[2:4] != "--":
        assert label(*path.strip("/").split("/")) == text


def test_usual_names_can_be_read():
    assert label("mira", "load-2024", "lab") == "lab--load-2024--mira"
    assert path_of("lab--load-2024--mira") == "/mira/load-2024/lab/"


@pytest.mark.parametrize(
    ("public", "app", "own"),
    [
        ("http://127.0.0.1:8089", "http://127.0.0.1:8089", "http://127.0.0.1:8089"),
        ("https://*.apps.example", "https://lab--load--mira.apps.example", "https://apps.example"),
        ("http://*.localhost:81", "http://lab--load--mira.localhost:81", "http://localhost:81"),
    ],
)
def test_an_address_with_a_star_gives_each_app_its_own(public, app, own):
    assert app_address(public, "/mira/load/lab/tree?a=*") == app + "/mira/load/lab/tree?a=*"
    assert own_address(public) == own
    assert has_origins(public) == (app != own)
