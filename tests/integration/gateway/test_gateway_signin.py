"""Signing in through the server, as a browser does it."""

import pytest
from gateway_fakes import GATEWAY_ID, eventually

PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def opened(site):
    return site.open_app()


@pytest.fixture
def browser(site):
    with site.client(headers=PAGE) as client:
        yield client


def callback(site, location: str, user: str) -> str:
    query, _ = site.server.authorize(location, user)
    return f"{site.url}/-/callback?{query}"


def sign_in(site, browser, opened, path=""):
    """Open the app, sign in at the server, come back; return the callback's answer."""
    away = browser.get(opened.url + path)
    return browser.get(callback(site, away.headers["location"], opened.owner))


def test_a_person_ends_up_where_they_wanted_to_go(site, opened, browser):
    back = sign_in(site, browser, opened, "tree/a%20b?x=1&y=%2F")
    assert back.headers["location"] == opened.prefix + "tree/a%20b?x=1&y=%2F"
    assert browser.get(site.url + back.headers["location"]).status_code == 200


def test_the_request_to_the_server_is_the_one_agreed_upon(site, opened, browser):
    away = browser.get(opened.url)
    _, asked = site.server.authorize(away.headers["location"], opened.owner)
    assert asked["client_id"] == GATEWAY_ID
    assert asked["response_type"] == "code"
    assert asked["redirect_uri"] == site.url + "/-/callback"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) > 20


def test_the_session_cookie_is_kept_from_scripts(site, opened, browser):
    cookie = sign_in(site, browser, opened).headers.get_list("set-cookie")[0]
    assert cookie.startswith("aen_gateway=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=3600"} <= set(cookie.split("; "))


def test_two_tabs_sign_in_at_the_same_time(site, opened, browser):
    first = browser.get(opened.url + "one").headers["location"]
    second = browser.get(opened.url + "two").headers["location"]
    for location, path in ((first, "one"), (second, "two")):
        back = browser.get(callback(site, location, opened.owner))
        assert back.headers["location"] == opened.prefix + path


def test_a_sign_in_begun_elsewhere_is_not_finished_here(site, opened, browser):
    with site.client(headers=PAGE) as attacker:
        location = attacker.get(opened.url).headers["location"]
    answer = browser.get(callback(site, location, opened.owner))
    assert answer.status_code == 400
    assert "This browser did not begin the sign-in" in answer.text
    assert "aen_gateway" not in str(answer.headers)


def test_a_callback_works_once(site, opened, browser):
    location = browser.get(opened.url).headers["location"]
    address = callback(site, location, opened.owner)
    browser.get(address)
    assert browser.get(address).status_code == 400


def with_a_lost_code(site, opened, browser):
    location = browser.get(opened.url).headers["location"]
    query, _ = site.server.authorize(location, opened.owner)
    site.server.codes.clear()
    return browser.get(f"{site.url}/-/callback?{query}")


def test_a_code_that_the_server_does_not_know_is_asked_for_anew(site, opened, browser):
    """As when the gateway was ended after it had used the code, and the page is loaded again."""
    answer = with_a_lost_code(site, opened, browser)
    assert (answer.status_code, answer.headers["location"]) == (302, opened.prefix)
    back = sign_in(site, browser, opened)
    assert browser.get(site.url + back.headers["location"]).status_code == 200


def test_a_second_such_code_gives_a_page(site, opened, browser):
    with_a_lost_code(site, opened, browser)
    answer = with_a_lost_code(site, opened, browser)
    assert answer.status_code == 400
    assert f'href="{opened.prefix}"' in answer.text


def test_the_servers_no_gives_a_page(site, opened, browser):
    location = browser.get(opened.url).headers["location"]
    _, asked = site.server.authorize(location, opened.owner)
    answer = browser.get(f"{site.url}/-/callback?error=access_denied&state={asked['state']}")
    assert (answer.status_code, "did not let you in" in answer.text) == (400, True)


@pytest.mark.parametrize("query", ["", "code=x", "state=x", "code=x&state=x", "a=" + "b&a=" * 50])
def test_a_callback_out_of_nowhere_gives_a_page(site, browser, query):
    assert browser.get(f"{site.url}/-/callback?{query}").status_code == 400


def test_a_page_by_another_name_of_the_host_moves_to_the_public_one(site, opened, browser):
    answer = browser.get(opened.url + "x", headers={"Host": f"localhost:{site.port}"})
    assert answer.headers["location"] == opened.url + "x"


def test_a_session_that_is_refused_again_and_again_ends_in_a_page_with_a_way_out(
    site, opened, browser
):
    for _ in range(4):
        away = browser.get(opened.url)
        if away.status_code != 302:
            break
        browser.get(callback(site, away.headers["location"], opened.owner))
        site.server.sessions.clear()
    assert away.status_code == 400
    assert 'method="post" action="/-/signout"' in away.text
    # The form ends at the server, which the page must allow.
    assert f"form-action 'self' {site.server_url}" in away.headers["content-security-policy"]
    browser.post(site.url + "/-/signout")
    back = sign_in(site, browser, opened)
    assert browser.get(site.url + back.headers["location"]).status_code == 200


def test_sign_out_takes_the_session_and_closes_what_it_opened(site, opened, browser):
    sign_in(site, browser, opened)
    with browser.stream("GET", opened.url + "gated") as answer:
        chunks = answer.iter_raw()
        next(chunks)
        with site.client(cookies=browser.cookies) as other_tab:
            out = other_tab.get(site.url + "/-/signout")
            assert browser.cookies["aen_gateway"] not in site.server.sessions, "at the server, too"
            assert out.headers["location"] == site.server_url + "/"
            assert "aen_gateway=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0" in (
                out.headers.get_list("set-cookie")
            )
        eventually(lambda: True)
        with pytest.raises(Exception, match="peer closed"):
            next(chunks)


def test_another_site_cannot_sign_a_person_out(site, opened, browser):
    sign_in(site, browser, opened)
    answer = browser.get(site.url + "/-/signout", headers={"Sec-Fetch-Site": "cross-site"})
    assert "set-cookie" not in answer.headers
    answer = browser.post(site.url + "/-/signout", headers={"Origin": "https://evil.example"})
    assert "set-cookie" not in answer.headers
    assert browser.get(opened.url).status_code == 200


def test_a_gateway_that_was_restarted_finishes_a_sign_in(own_site):
    site = own_site()
    opened = site.open_app()
    with site.client(headers=PAGE) as browser:
        location = browser.get(opened.url).headers["location"]
        site.stop_gateway()
        site.start_gateway()
        back = browser.get(callback(site, location, opened.owner))
        assert browser.get(site.url + back.headers["location"]).status_code == 200


@pytest.mark.row(7)
def test_by_https_cookies_are_secure_and_no_neighbour_can_set_them(own_site):
    site = own_site(public_url="https://apps.example")
    opened = site.open_app()
    with site.client(headers=PAGE | {"Host": "apps.example"}) as browser:
        away = browser.get(opened.url)
        cookies = away.headers.get_list("set-cookie")
        assert cookies and all(one.startswith("__Host-aen_") for one in cookies)
        assert all("; Secure" in one and "; Path=/;" in one for one in cookies)
        held = {"Cookie": f"__Host-aen_gateway={opened.session}"}
        assert browser.get(opened.url, headers=held).status_code == 200
        # The plain name is what a page of another host of this domain can set.
        assert browser.get(opened.url, headers=opened.cookie).status_code == 302
    fields = dict(opened.app.seen[0].headers)
    assert (fields["x-forwarded-proto"], fields["x-forwarded-host"]) == ("https", "apps.example")
