"""What messages under way may hold over the consumers, which pass them on when they are whole.

WebSockets come that way where the express way is off, and by a handshake that it leaves alone.
"""

import contextlib
import re
import threading

import pytest
from gateway_fakes import Site, eventually
from test_gateway_websocket import MASK, accept, assert_stalls, frame, unmasked
from transcript import Conversation

MOST = 16 * 1024 * 1024
PART = 10 * 1024 * 1024
NAME = "person_message_bytes"
ODD = (
    "Connection: Upgrade, X-Hop", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)  # fmt: skip
WAYS = pytest.mark.parametrize("masked", [True, False], ids=["up", "down"])


@pytest.fixture(scope="module", params=["consumers", "odd handshake"])
def narrow(request):
    """A site where one person's messages under way may hold 16 MiB."""
    running = Site(express=request.param != "consumers", limits={NAME: MOST})
    running.start()
    running.way, running.is_peer = "consumers", False
    yield running
    running.stop()


class Person(Conversation):
    """A person's WebSockets, each with both of its ends."""

    def begins(self):
        browser = self.new_browser()
        browser.says(self.request("socket", *ODD, f"Origin: {self.site.url}"))
        app = self.app()
        return browser, app, app.hears_head()

    def opens(self):
        browser, app, head = self.begins()
        app.says(accept(head))
        assert browser.hears_head().status == 101
        return browser, app


@pytest.fixture
def person(narrow):
    conversation = Person(narrow)
    yield conversation
    conversation.end()
    eventually(lambda: held(narrow) == 0)


def held(site) -> int:
    return int(re.search(r"^aen_gateway_message_bytes (\d+)$", site.metrics(), re.M)[1])


def refused(site) -> int:
    found = re.search(rf'refused_total{{limit="{NAME}"}} (\d+)', site.metrics())
    return int(found[1]) if found else 0


def long_head(size, *, masked) -> bytes:
    """Return what is before the data of a message of at least 64 KiB."""
    return bytes((0x82, 127 | (0x80 if masked else 0))) + size.to_bytes(8) + MASK * masked


def starts(end, *, masked, site):
    """Send most of a message, and wait until it is held."""
    before = held(site)
    end.says(long_head(PART + 1, masked=masked) + bytes(PART))
    eventually(lambda: held(site) >= before + PART)


def assert_refused(browser, app):
    """Both ends are told, and the browser why."""
    assert browser.hears_bytes(1) == b"\x88"
    said = browser.hears_bytes(browser.hears_bytes(1)[0])
    assert said[:2] == (1013).to_bytes(2)
    assert f"{MOST:,} bytes" in said[2:].decode() and NAME in said[2:].decode()
    first, closing = unmasked(app)
    assert (first, closing[:2]) == (0x88, (1013).to_bytes(2))


def says_all(end, data):
    """Say what may be refused on its way."""

    def say():
        with contextlib.suppress(OSError):  # the other end is gone
            end.says(data)

    saying = threading.Thread(target=say)
    saying.start()
    return saying


@WAYS
def test_the_socket_that_brings_too_much_is_closed_and_the_others_go_on(person, masked):
    site, before = person.site, refused(person.site)
    one, other = person.opens(), person.opens()
    source, target = one if masked else reversed(one)
    starts(source, masked=masked, site=site)
    saying = says_all(other[0 if masked else 1], long_head(PART, masked=masked) + bytes(PART))
    assert_refused(*other)
    other[1].close()
    saying.join(15)
    assert refused(site) == before + 1
    source.says(b"\0")
    assert target.hears_bytes(10)[2:] == (PART + 1).to_bytes(8)
    mask = target.hears_bytes(4) if masked else MASK
    target.hears(mask * (PART // 4) + mask[:1])


@WAYS
def test_what_one_person_holds_takes_nothing_from_another(person, masked):
    another = Person(person.site)
    ends = [someone.opens()[0 if masked else 1] for someone in (person, another)]
    for end in ends:
        starts(end, masked=masked, site=person.site)
    another.end()


@WAYS
def test_empty_fragments_hold_something_too(person, masked):
    browser, app = person.opens()
    piece = frame(0, b"", fin=False, masked=masked)
    data = frame(2, b"", fin=False, masked=masked) + piece * (MOST // 256)
    saying = says_all(browser if masked else app, data)
    assert_refused(browser, app)
    saying.join(15)


def test_a_message_that_the_browser_does_not_take_counts_until_it_has(person):
    browser, app = person.opens()
    app.says(long_head(PART, masked=False) + bytes(PART))
    eventually(lambda: held(person.site) > PART // 4)  # the kernel has the rest
    saying = says_all(app, (long_head(PART, masked=False) + bytes(PART)) * 2)
    eventually(lambda: refused(person.site))
    browser.hears(long_head(PART, masked=False) + bytes(PART))
    browser.hears_until(f"(limits: {NAME}).".encode())
    saying.join(15)


def test_a_message_that_the_app_does_not_take_counts_until_it_has(person):
    browser, app = person.opens()
    browser.says(long_head(PART, masked=True) + bytes(PART))
    eventually(lambda: held(person.site) > PART // 4)
    app.hears_bytes(14 + PART)
    eventually(lambda: held(person.site) == 0)


def test_an_app_that_takes_nothing_cannot_be_sent_ever_more(person):
    browser, _ = person.opens()
    saying = says_all(browser, (long_head(PART, masked=True) + bytes(PART)) * 4)
    assert browser.hears_bytes(4)[2:] == (1013).to_bytes(2)
    saying.join(15)


@WAYS
@pytest.mark.parametrize("end", ["browser", "app", "revoked", "closed"])
def test_a_message_that_never_ends_is_forgotten_with_its_socket(person, masked, end):
    browser, app = person.opens()
    starts(browser if masked else app, masked=masked, site=person.site)
    if end == "browser":
        browser.close()
    elif end == "app":
        app.close()
    elif end == "revoked":
        person.site.revoke("user", person.opened.owner)
    else:
        (app if masked else browser).says(frame(8, b"", masked=not masked))
    eventually(lambda: held(person.site) == 0)


def test_an_app_that_closes_but_takes_nothing_leaves_nothing_behind(person):
    browser, app = person.opens()
    browser.says(long_head(PART, masked=True) + bytes(PART))
    eventually(lambda: held(person.site) > PART // 4)
    app.says(frame(8, b""))
    eventually(lambda: held(person.site) == 0)
    assert len(app.hears_end()) < PART


def test_nothing_is_read_before_the_app_has_accepted(person):
    person.browser, app, head = person.begins()
    assert_stalls(person, frame(2, b"x" * 60_000, masked=True))
    assert held(person.site) == 0
    app.says(accept(head))
    assert unmasked(app) == (0x82, b"x" * 60_000)
