"""Each app at a name of its own: signing in across origins, and what none can do to another."""

from urllib.parse import urlsplit

import httpx
import pytest
from fake_haproxy import ABSENT
from gateway_fakes import Site, eventually
from loopback_names import LINK, browser
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gateway.protocol.origins import label

CALL = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}


@pytest.fixture(scope="module", params=["express", "consumers", "haproxy"])
def site(request):
    if request.param == "haproxy" and ABSENT:
        pytest.skip(ABSENT)
    way = {"express": request.param == "express", "haproxy": request.param == "haproxy"}
    running = Site(origins=True, **way).start()
    yield running
    running.stop()


@pytest.fixture
def opened(site):
    app = site.open_app()
    site.server.person = app.owner
    return app


@pytest.fixture
def other(site, opened):
    """Another app of the same person."""
    app = site.open_app("notebook")
    site.server.owners[app.key] = opened.owner
    return app


@pytest.fixture
def tab():
    with browser() as client:
        yield client


def signed_in(tab, opened, rest=""):
    """Open the app as a person does; return the last answer."""
    answer = tab.get(opened.url + rest, follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer


def steps(tab, url):
    """Return the addresses that a page load leads over, and what is at the end."""
    answer = tab.get(url, follow_redirects=True)
    return [str(one.url) for one in answer.history], answer


def host_of(opened):
    return urlsplit(opened.url).netloc


# --- signing in ----------------------------------------------------------------------------------


def test_a_person_ends_up_where_they_wanted_to_go(site, opened, tab):
    way, answer = steps(tab, opened.url + "tree/a%20b?x=1&y=%2F")
    assert answer.json() == {"path": opened.prefix + "tree/a b"}
    assert str(answer.url) == opened.url + "tree/a%20b?x=1&y=%2F"
    assert [urlsplit(one).path for one in way] == [
        opened.prefix + "tree/a%20b", "/-/enter", "/oauth/authorize", "/-/callback", "/-/enter",
        "/-/entered",
    ]  # fmt: skip
    assert opened.app.seen[-1].query == b"x=1&y=%2F"


def test_the_next_app_asks_the_server_for_nothing(opened, other, tab):
    signed_in(tab, opened)
    way, answer = steps(tab, other.url)
    assert answer.status_code == 200
    assert [urlsplit(one).path for one in way] == [other.prefix, "/-/enter", "/-/entered"]


@pytest.mark.row(22)
def test_no_session_stands_in_an_address_and_no_app_sees_one(site, opened, tab):
    way, _ = steps(tab, opened.url)
    signed_in(tab, opened)
    (session,) = [one for one, who in site.server.sessions.items() if who == opened.owner
                  and one != opened.session]  # fmt: skip
    assert not any(session in one for one in way)
    assert session not in str([request.headers for request in opened.app.seen])
    eventually(lambda: opened.prefix in site.log.read_text())
    assert session not in site.log.read_text()


def test_the_cookie_is_kept_from_scripts_and_from_other_hosts(opened, tab):
    entered = tab.get(opened.url, follow_redirects=True).history[-1]
    cookie = next(one for one in entered.headers.get_list("set-cookie") if "gateway=" in one)
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "domain" not in cookie.lower()
    assert entered.headers["referrer-policy"] == "no-referrer"


def test_a_path_without_the_apps_name_leads_to_it(site, opened, tab):
    answer = tab.get(site.own_url + opened.prefix + "tree?a=1")
    assert answer.headers["location"] == opened.url + "tree?a=1"
    root = opened.url.removesuffix(opened.prefix) + "/"
    assert tab.get(root).headers["location"] == opened.prefix


def test_a_script_with_a_token_asks_at_the_apps_own_name(site, opened, tab):
    assert tab.get(opened.url, headers=opened.bearer).status_code == 200
    answer = tab.get(site.own_url + opened.prefix, headers=opened.bearer | CALL)
    assert (answer.status_code, answer.json()["code"]) == (421, "another_name")
    assert opened.url in answer.json()["detail"]


# --- codes ---------------------------------------------------------------------------------------


def code_for(tab, opened):
    """Sign in up to the last step; return the address with the code."""
    answer = tab.get(opened.url)
    while "/-/entered?" not in answer.headers["location"]:
        answer = tab.get(answer.url.join(answer.headers["location"]))
    return answer.headers["location"]


def test_a_code_works_once(opened, tab):
    address = code_for(tab, opened)
    first = tab.get(address)
    assert "aen_gateway=" in str(first.headers)
    assert "aen_gateway=" not in str(tab.get(address).headers)


def test_a_person_amid_a_sign_in_is_led_through_a_restart_of_the_gateway(own_site):
    """Codes on their way are in the memory of the process that is gone."""
    site = own_site(origins=True)
    opened = site.open_app()
    site.server.person = opened.owner
    with browser() as tab:
        address = code_for(tab, opened)
        site.stop_gateway(kill=True)
        site.start_gateway()
        way, answer = steps(tab, address)
        assert (answer.status_code, str(answer.url)) == (200, opened.url)
        assert [urlsplit(one).path for one in way] == [
            "/-/entered", opened.prefix, "/-/enter", "/-/entered",
        ]  # fmt: skip


def test_codes_that_are_lost_again_and_again_end_in_a_page(opened, tab):
    lost = [tab.get(code_for(tab, opened).replace("code=", "code=x")) for _ in range(2)]
    assert [one.status_code for one in lost] == [302, 302]
    assert lost[0].headers["location"] == opened.prefix
    page = tab.get(lost[1].url.join(lost[1].headers["location"]))
    assert (page.status_code, "The sign-in did not finish" in page.text) == (400, True)


@pytest.mark.row(1)
def test_a_code_works_in_the_browser_alone_that_began(opened, tab):
    """Whoever reads it in some log or history has nothing: no page is ever at its address."""
    address = code_for(tab, opened)
    with browser() as thief:
        thief.get(opened.url)  # has begun, too, but something else
        answer = thief.get(address)
        assert answer.status_code == 302
        assert "code=" not in answer.headers["location"]
        assert "aen_gateway" not in str(answer.headers)
        page = thief.get(urlsplit(address)._replace(query="").geturl())
        assert (page.status_code, "The sign-in did not finish" in page.text) == (400, True)


def test_a_code_works_at_the_app_alone_that_it_is_for(opened, other, tab):
    address = code_for(tab, opened)
    tab.get(other.url)
    answer = tab.get(address.replace(host_of(opened), host_of(other)))
    assert "aen_gateway" not in str(answer.headers)


def test_a_code_that_somebody_else_chose_the_challenge_for_is_worth_nothing(site, opened, tab):
    """A page that knows a verifier sends a signed-in person to fetch a code for it."""
    signed_in(tab, opened)
    with browser() as attacker:
        begun = attacker.get(opened.url).headers["location"]
        code = tab.get(begun).headers["location"]  # minted in the person's browser
        assert "code=" in code
        spent = tab.get(code)
        assert "code=" not in spent.headers["location"]
        assert "aen_gateway" not in str(spent.headers)
        assert "aen_gateway" not in str(attacker.get(code).headers), "spent by the first try"


@pytest.mark.parametrize(
    "change",
    [{"place": "/-/"}, {"place": "//evil.example/a/b/"}, {"place": "/a/b/c/d"}, {"state": "x"},
     {"challenge": ""}, {"place": "https://evil.example/"}],
)  # fmt: skip
@pytest.mark.row(14)
def test_a_code_goes_to_an_apps_own_name_and_nowhere_else(site, opened, tab, change):
    signed_in(tab, opened)
    token = "t" * 43
    query = {"place": opened.prefix, "state": token, "challenge": token} | change
    answer = tab.get(f"{site.own_url}/-/enter", params=query)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_a_frame_is_given_no_code(site, opened, tab):
    begun = tab.get(opened.url).headers["location"]
    framed = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "iframe"}
    assert tab.get(begun, headers=framed).status_code == 403


@pytest.mark.row(14)
def test_the_way_on_after_a_sign_in_stays_on_this_host(opened, tab):
    for place in ("//evil.example", "/\\evil.example", "https://evil.example"):
        page = tab.get(f"http://{host_of(opened)}/-/entered", params={"next": place})
        assert page.status_code == 400
        assert "evil.example" not in page.text


def test_a_session_that_is_refused_again_and_again_ends_in_a_page_with_a_way_out(site, opened, tab):
    for _ in range(4):
        answer = tab.get(opened.url, follow_redirects=True)
        if answer.status_code != 200:
            break
        site.server.sessions.clear()
        site.revoke("user", opened.owner)
        eventually(lambda: tab.get(opened.url, headers=CALL).status_code == 401)
    assert answer.status_code == 400
    assert 'method="post" action="/-/signout"' in answer.text
    # The form ends at the gateway's own name, which the page must allow.
    assert site.own_url in answer.headers["content-security-policy"]
    form = {"Sec-Fetch-Site": "same-site"}  # what the browser makes of it at the second host
    left = tab.post(f"http://{host_of(opened)}/-/signout", headers=form, follow_redirects=True)
    assert "Sign out of your apps?" in left.text
    tab.post(site.own_url + "/-/signout", headers={"Origin": site.own_url})
    signed_in(tab, opened)


# --- one app, one host ---------------------------------------------------------------------------


@pytest.mark.row(1)
@pytest.mark.row(12)
def test_a_session_at_one_app_opens_no_other(site, opened, other, tab):
    signed_in(tab, opened)
    (held,) = [one for one in tab.cookies.jar if one.name == "aen_gateway"
               and one.domain == urlsplit(opened.url).hostname]  # fmt: skip
    plain, _, mark = held.value.rpartition(".")
    for value in (held.value, plain, f"{plain}.", f".{mark}", f"{plain}.{mark[:-1]}x"):
        for url in (other.url, site.own_url + "/-/enter"):
            with browser(cookies={"aen_gateway": value}) as thief:
                answer = thief.get(url, headers=CALL)
                assert answer.status_code in (400, 401)
    assert other.app.seen == []


def test_one_apps_host_shows_no_other_app(opened, other, tab):
    signed_in(tab, opened)
    there = f"http://{host_of(opened)}{other.prefix}"
    assert tab.get(there).headers["location"] == other.url
    assert tab.get(there, headers=CALL | {"Sec-Fetch-Site": "same-origin"}).status_code == 421
    assert other.app.seen == []


@pytest.mark.row(12)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "navigate in a frame"])
def test_another_apps_page_cannot_call_an_app(opened, other, tab, method, mode):
    signed_in(tab, other)
    origin = f"http://{host_of(opened)}"
    by_fetch = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": "script"}
    if "frame" in mode:
        by_fetch |= {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    if method != "GET":
        by_fetch["Origin"] = origin
    before = len(other.app.seen)
    answer = tab.request(method, other.url, headers=by_fetch)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    if method == "POST":  # browsers that say nothing but Origin
        assert tab.post(other.url, headers={"Origin": origin, **CALL}).status_code == 403
    assert len(other.app.seen) == before


def ws_of(site, opened, tab, origin):
    (held,) = [one for one in tab.cookies.jar if one.name == "aen_gateway"
               and one.domain == urlsplit(opened.url).hostname]  # fmt: skip
    fields = {"Cookie": f"aen_gateway={held.value}"}
    address = opened.url.replace("http", "ws", 1) + "socket"
    return connect(address, additional_headers=fields, origin=origin, proxy=None,
                   address=("127.0.0.1", site.port))  # fmt: skip


@pytest.mark.row(1)
def test_a_websocket_takes_the_apps_own_origin_alone(site, opened, other, tab):
    signed_in(tab, opened)
    with ws_of(site, opened, tab, f"http://{host_of(opened)}") as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
    for origin in (f"http://{host_of(other)}", site.own_url, "null", None,
                   f"http://{host_of(opened)}.evil.example"):  # fmt: skip
        with pytest.raises(InvalidStatus), ws_of(site, opened, tab, origin):
            pass


def test_an_app_sets_cookies_for_its_own_host_and_path_only(opened, tab):
    signed_in(tab, opened)
    answer = tab.get(opened.url + "cookies")
    assert answer.headers.get_list("set-cookie") == [
        f"theme=dark; Path={opened.prefix}",
        f"mode=1; Path={opened.prefix}",
    ]


@pytest.mark.row(8)
def test_too_many_cookies_are_cleared_for_all_names_too(opened, tab):
    answer = tab.get(opened.url, headers={"Cookie": "big=" + "x" * 50_000})
    assert answer.status_code == 431
    cleared = answer.headers.get_list("set-cookie")
    assert "big=; Max-Age=0; Path=/" in cleared
    assert "big=; Max-Age=0; Path=/; Domain=apps.localhost" in cleared


# --- leaving -------------------------------------------------------------------------------------


@pytest.mark.row(2)
def test_signing_out_ends_the_sessions_at_all_apps(site, opened, other, tab):
    signed_in(tab, opened)
    signed_in(tab, other)
    with ws_of(site, opened, tab, f"http://{host_of(opened)}") as ws:
        out = tab.post(site.own_url + "/-/signout", headers={"Origin": site.own_url})
        assert out.headers["location"] == site.server_url + "/"
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=15)
    site.server.person = ""
    for app in (opened, other):
        assert tab.get(app.url, headers=CALL).status_code == 401
        assert urlsplit(tab.get(app.url, follow_redirects=True).url.path).path == "/oauth/authorize"


@pytest.mark.row(13)
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "same-site"}),
        ("GET", {"Sec-Fetch-Site": ""}),
        ("POST", {"Sec-Fetch-Site": "same-site", "Origin": "APP"}),
        ("POST", {"Sec-Fetch-Site": "", "Origin": "APP"}),
        ("POST", {"Sec-Fetch-Site": "", "Origin": "null"}),
    ],
)
def test_an_app_cannot_sign_a_person_out(site, opened, tab, method, fields):
    signed_in(tab, opened)
    fields = {
        name: value.replace("APP", f"http://{host_of(opened)}") for name, value in fields.items()
    }
    answer = tab.request(method, site.own_url + "/-/signout", headers=fields)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert tab.get(opened.url).status_code == 200


def test_the_gateways_own_name_shows_no_app(site, opened, tab):
    """Its session would be in reach of what the app's page does."""
    signed_in(tab, opened)
    before = len(opened.app.seen)
    for name in ("apps.localhost", "localhost", "127.0.0.1"):
        url = f"http://{name}:{site.port}{opened.prefix}"
        assert tab.get(url).headers["location"] == opened.url
        assert tab.get(f"{url}?token=aen_x").status_code == 302
        assert tab.post(url, headers={"Origin": site.own_url}).status_code == 421
    assert len(opened.app.seen) == before


def test_a_name_too_long_for_dns_works_as_well(site, tab):
    owner, project, app = "o" * 32, "p" * 32, "a--b-"
    site.server.apps[owner, project, app] = "f" * 32
    site.server.owners[owner, project, app] = site.server.person = owner
    site.server.statuses[owner, project, app] = 409
    path = f"/{owner}/{project}/{app}/"
    answer = tab.get(site.own_url + path, follow_redirects=True)
    assert answer.status_code == 409
    assert answer.url.host == f"{label(owner, project, app)}.apps.localhost"


def test_health_is_shown_under_any_name(site):
    assert httpx.get(f"{site.url}/-/health", headers={"Host": "10.0.0.1"}).status_code == 200
    assert LINK["Sec-Fetch-Site"] == "none"
