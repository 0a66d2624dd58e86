"""Who sent a request, and under which name: claims count from trusted proxies alone."""

import pytest

from gateway.forwarding import BadRequest, Hosts, Proxies, Sender, check_target, said_of

SCHEME, HOST = b"https", b"apps.example"
PROXY = "10.1.2.3"


def sender(peer, *fields, trusted=("10.1.0.0/16", "::1", "unix")):
    headers = [(name.lower(), value) for name, value in fields]
    return Proxies(trusted).sender(peer, said_of(headers), HOST, SCHEME)


@pytest.mark.row(6)
@pytest.mark.parametrize("peer", ["6.6.6.6", "127.0.0.1", "10.2.0.1", "::2"])
def test_nobody_but_a_trusted_proxy_says_who_the_client_is(peer):
    claims = [(b"X-Forwarded-For", b"1.1.1.1"), (b"X-Forwarded-Proto", b"http"),
              (b"X-Forwarded-Host", b"evil.example")]  # fmt: skip
    assert sender(peer, *claims) == Sender(peer, SCHEME, HOST)
    assert sender(peer, *claims, trusted=()) == Sender(peer, SCHEME, HOST)
    assert sender(None, *claims, trusted=()) == Sender("unix", SCHEME, HOST)


@pytest.mark.parametrize(
    ("clients", "client"),
    [
        (b"2.2.2.2", "2.2.2.2"),
        (b"1.1.1.1, 2.2.2.2", "2.2.2.2"),  # the first is what the client itself wrote
        (b"1.1.1.1, 2.2.2.2, 10.1.9.9", "2.2.2.2"),  # a second proxy of ours
        (b"10.1.9.9", "10.1.9.9"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"[2001:db8::1]:4711", "2001:db8::1"),
        (b"2.2.2.2:4711", "2.2.2.2"),
        (b"::ffff:2.2.2.2", "2.2.2.2"),
        (b"<script>", PROXY),
        (b"1.1.1.1, nonsense", PROXY),
        (b"", PROXY),
        (b",,,", PROXY),
        (b"1.1.1.1," * 1000 + b"2.2.2.2", "2.2.2.2"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxys(clients, client):
    assert sender(PROXY, (b"X-Forwarded-For", clients)).client == client


def test_lists_in_several_fields_are_one_list():
    fields = [(b"X-Forwarded-For", b"2.2.2.2"), (b"X-Forwarded-For", b"10.1.0.1")]
    assert sender(PROXY, *fields).client == "2.2.2.2"


@pytest.mark.parametrize(
    ("proto", "scheme"), [(b"http", b"http"), (b"HTTPS", b"https"), (b"ftp", SCHEME), (b"", SCHEME)]
)
def test_a_trusted_proxy_says_scheme_and_host(proto, scheme):
    told = sender(None, (b"X-Forwarded-Proto", proto), (b"X-Forwarded-Host", b"other.example"))
    assert (told.scheme, told.host) == (scheme, b"other.example")


def test_two_hosts_are_none():
    assert sender(PROXY, (b"X-Forwarded-Host", b"a.example, b.example")).host == HOST


@pytest.mark.parametrize("name", ["proxy", "10.0.0.1/8", "", "10.0.0.0/33"])
def test_what_is_no_address_is_not_taken_for_a_proxy(name):
    with pytest.raises(ValueError, match=r".*"):
        Proxies([name])


# --- names ---------------------------------------------------------------------------------------

PATHS = Hosts("https://apps.example:8443", ["other.example"])
STARS = Hosts("https://*.apps.example")


@pytest.mark.parametrize(
    "host",
    [b"apps.example", b"APPS.example:443", b"apps.example:8443", b"localhost:8089", b"127.0.0.1",
     b"[::1]:8089", b"other.example"],
)  # fmt: skip
def test_the_gateways_own_names_are_known(host):
    assert PATHS.place(host) == (True, "")


@pytest.mark.row(6)
@pytest.mark.parametrize(
    "host",
    [b"", b"evil.example", b"apps.example.evil.example", b"evilapps.example", b"x.apps.example",
     b"127.0.0.2", b"apps.example:x", b"apps.example:", b"apps.example@evil.example", b"::1",
     b"apps.example, evil.example", b"apps.example\t", b"apps.example.", b"a" * 5000],
)  # fmt: skip
def test_no_other_name_is_known(host):
    assert not PATHS.place(host).known


def test_each_app_has_a_name_below_the_gateways():
    assert STARS.place(b"lab--load--mira.apps.example:443") == (True, "lab--load--mira")
    assert STARS.place(b"apps.example") == (True, "")
    for host in (b"a.b.apps.example", b".apps.example", b"lab--load--mira.localhost"):
        assert not STARS.place(host).known


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/a//b?u=http://evil.example/", b"apps.example"),
        (b"*", b"apps.example"),
        (b"http://apps.example/a", b"apps.example"),
        (b"HTTP://Apps.Example:80?x", b"apps.EXAMPLE"),
        (b"https://apps.example/", b"apps.example:443"),
        (b"http://[::1]:81/", b"[::1]:81"),
    ],
)
def test_a_target_may_name_the_host_that_the_field_names(target, host):
    check_target(target, host)


@pytest.mark.parametrize(
    "target",
    [
        b"http://evil.example/a",
        b"http://apps.example:81/a",
        b"http://apps.example@evil.example/",
        b"http://evil.example@apps.example/",
        b"http:///a",
        b"http://?a",
        b"https://apps.example:80/",
        b"ftp://evil.example/",
    ],
)
def test_a_target_that_names_another_host_is_refused(target):
    with pytest.raises(BadRequest):
        check_target(target, b"apps.example")
