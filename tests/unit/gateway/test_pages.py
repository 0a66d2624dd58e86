"""The gateway's own pages: escaped, self-contained, and JSON for programs."""

import re

import msgspec
import pytest

from gateway import pages

EVERY = [
    pages.not_running("JupyterLab is not running.", "http://server/mira/forecast"),
    pages.starting("JupyterLab is starting.", "http://server/mira/forecast"),
    pages.forbidden("Your role does not open apps."),
    pages.not_found(),
    pages.server_away(),
    pages.app_unreachable("The app ended the connection."),
    pages.sign_in("/mira/forecast/lab/"),
    pages.sign_in_failed("It took too long.", "/"),
    pages.sign_in_loop("/-/signout"),
    pages.too_large("/-/signout"),
    pages.bad_request("The request names two hosts."),
    pages.bad_origin(),
    pages.failed(),
]


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.code)
def test_a_page_says_what_happened_in_plain_words(page):
    fields, body = pages.render(page, html=True)
    text = body.decode()
    assert text.count("<h1>") == 1
    assert "$" not in text
    words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.S).lower()
    assert not {"oops", "please", "successfully", "sorry"} & set(words.split())
    assert "!" not in words
    assert dict(fields)[b"cache-control"] == b"no-store"


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.code)
def test_a_page_needs_nothing_from_elsewhere(page):
    text = pages.render(page, html=True)[1].decode()
    assert not re.search(r"<script|<link|<img|src=|@import|url\(", text)


@pytest.mark.parametrize("page", EVERY, ids=lambda page: page.code)
def test_a_program_gets_code_and_detail(page):
    fields, body = pages.render(page, html=False)
    assert dict(fields)[b"content-type"] == b"application/json"
    answer = msgspec.json.decode(body)
    assert set(answer) == {"code", "detail"}
    assert answer["detail"]


def test_what_others_wrote_is_escaped():
    hostile = '"><script>alert(1)</script>'
    page = pages.not_running(hostile, "http://x/" + hostile)
    text = pages.render(page, html=True, home=hostile)[1].decode()
    assert "<script" not in text
    assert 'href="http://x/"' not in text


@pytest.mark.parametrize(
    ("headers", "html"),
    [
        ([(b"accept", b"text/html,*/*")], True),
        ([(b"accept", b"text/html"), (b"sec-fetch-mode", b"navigate")], True),
        ([(b"accept", b"text/html"), (b"sec-fetch-mode", b"cors")], False),
        ([(b"accept", b"*/*")], False),
        ([], False),
    ],
)
def test_a_page_is_for_page_loads(headers, html):
    assert pages.wants_html(headers) is html
