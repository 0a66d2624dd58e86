"""Forged requests, and links that lead away: Origin, CSRF and ``next``."""

import pytest
from django.test import Client

from accounts import actions as accounts
from accounts.models import ApiToken
from projects import actions
from projects.models import Project

MODES = [None, "no-cors", "navigate", "cors", "same-origin", "websocket"]
GATEWAY = "http://testserver:8089"


@pytest.fixture
def mira(cast, project):
    """Mira's browser, with the CSRF cookie that a page gave it."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.mira)
    client.get("/accounts/")
    return client


def token(client):
    """Return a token as the page would send it; an app on the same host may plant the cookie's."""
    return client.cookies["aen_csrf"].value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.row(13)
def test_without_a_token_nothing_changes_whatever_the_browser_calls_it(mode, mira):
    headers = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-site"} if mode else {}
    form = mira.post("/accounts/tokens", {"name": "x", "scopes": "api"}, headers=headers)
    rest = mira.post("/api/v1/projects", b'{"name": "forged"}', content_type="application/json",
                     headers=headers)  # fmt: skip
    gone = mira.delete("/api/v1/projects/mira/forecast", headers=headers)
    assert (form.status_code, rest.status_code, gone.status_code) == (403, 403, 403)
    assert rest.json()["code"] == "forbidden"
    assert not ApiToken.objects.exists() and Project.objects.count() == 1


@pytest.mark.parametrize(
    "origin", [GATEWAY, "null", "http://testserver.evil.test", "https://testserver"]
)
@pytest.mark.row(13)
def test_a_planted_token_does_not_help_another_origin(origin, mira):
    headers = {"Origin": origin, "X-CSRFToken": token(mira)}
    form = mira.post("/accounts/tokens", {"name": "x", "scopes": "api"}, headers=headers)
    rest = mira.delete("/api/v1/projects/mira/forecast", headers=headers)
    assert (form.status_code, rest.status_code) == (403, 403)
    assert Project.objects.exists()


def test_our_own_pages_pass(mira):
    headers = {"Origin": "http://testserver", "X-CSRFToken": token(mira)}
    assert mira.post("/accounts/name", {"full_name": "M"}, headers=headers).status_code == 302
    rest = mira.patch("/api/v1/projects/mira/forecast", b'{"summary": "x"}', headers=headers,
                      content_type="application/json")  # fmt: skip
    assert rest.status_code == 200


def test_a_token_needs_no_csrf_and_a_session_beside_it_lends_it_nothing(mira, cast):
    _, secret = accounts.create_token(cast.otto, "t", ["apps"], by=cast.otto)
    headers = {"Authorization": f"Bearer {secret}"}
    answer = mira.post("/api/v1/projects", b'{"name": "forged"}', content_type="application/json",
                       headers=headers)  # fmt: skip
    assert answer.status_code == 403
    assert Project.objects.count() == 1


@pytest.mark.parametrize(
    "path",
    ["/accounts/logout/", "/accounts/sign-out-everywhere", "/accounts/theme", "/accounts/tokens",
     "/mira/forecast/apps/lab/start", "/mira/forecast/apps/lab/stop", "/mira/forecast/permissions/set",
     "/mira/forecast/permissions/clear", "/mira/forecast/settings/team/add",
     "/mira/forecast/settings/team/max/role", "/oauth/token", "/gateway/access"],
)  # fmt: skip
@pytest.mark.row(13)
def test_nothing_is_changed_by_a_get(path, mira):
    assert mira.get(path).status_code == 405


def test_looking_at_what_a_stop_would_end_ends_nothing(project, cast, mira):
    row = actions.start_app(project, "lab", by=cast.mira)
    assert mira.get("/mira/forecast/apps/stop").status_code == 200
    row.refresh_from_db()
    assert row.state == "requested"


PLACES = [
    "//evil.test", "///evil.test", "////evil.test", "\\\\evil.test", "/\\evil.test", "/\\/evil.test",
    "http://evil.test", "https:evil.test", "http:///evil.test", "javascript:alert(1)", " //evil.test",
    "\t//evil.test", "/\t/evil.test", "/\n/evil.test", "/%0d%0aLocation:%20http://evil.test",
    "http://testserver@evil.test", "//testserver@evil.test", "testserver//evil.test", "evil.test",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/accounts/theme", "/mira/forecast/apps/lab/stop"]
)
@pytest.mark.row(14)
def test_next_stays_on_this_site(path, place, cast, project):
    client = Client()
    if "login" not in path:
        client.force_login(cast.mira)
    data = {"username": "mira", "password": "mira-Secret-1", "theme": "dark", "next": place}
    where = client.post(path, data)["Location"]
    assert where.startswith("/") and not where.startswith(("//", "/\\"))
    assert "\r" not in where and "\n" not in where
    signed_in = client.get("/accounts/login/", {"next": place})["Location"]
    assert signed_in.startswith("/") and not signed_in.startswith(("//", "/\\"))


@pytest.mark.parametrize(
    "host", ["evil.test", "testserver.evil.test", "testserver@evil.test", "", "a b"]
)
def test_a_foreign_host_is_answered_with_nothing_of_ours(host, cast):
    answer = Client(headers={"Host": host}).get("/accounts/login/")
    assert answer.status_code == 400 or not host


def test_the_link_for_a_password_names_the_sites_own_address(cast):
    ada = Client(headers={"Host": "localhost"})
    ada.force_login(cast.ada)
    page = ada.post("/manage/users/mira/link").content.decode()
    assert "http://testserver/accounts/password/" in page
    assert "http://localhost" not in page


@pytest.mark.row(12)
def test_every_page_forbids_framing_foreign_content_and_sniffing(mira):
    for path in (
        "/",
        "/mira/forecast",
        "/nothing/here",
        "/?a=%00",
        "/api/v1/health",
        "/api/v1/none",
    ):
        answer = mira.get(path)
        policy = answer["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy and "default-src 'self'" in policy
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Referrer-Policy"] == "same-origin"
