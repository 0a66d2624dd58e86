"""Signing in, one-time links, and one's own account."""

import pytest
from django.test import Client

from accounts import actions
from accounts.models import ApiToken

LOGIN = "/accounts/login/"


def sign_in(client, name="mira", password=None, **more):
    data = {"username": name, "password": password or f"{name}-Secret-1", **more}
    return client.post(LOGIN, data)


def test_signing_in_leads_to_where_one_wanted_to_go(cast):
    response = sign_in(Client(), next="/mira/forecast")
    assert (response.status_code, response["Location"]) == (302, "/mira/forecast")


@pytest.mark.parametrize(
    "there",
    ["//evil.example", "///evil.example", "https://evil.example", "/\\evil.example", "\\\\evil",
     "/x\r\nSet-Cookie:a=b", "//a@evil.example/", "javascript:alert(1)", ""],
)  # fmt: skip
def test_signing_in_never_leads_elsewhere(cast, there):
    assert sign_in(Client(), next=there)["Location"] == "/"


def test_the_page_names_the_project_one_wanted_to_open(db, text):
    page = text(Client().get(LOGIN + "?next=/mira/forecast/activity"))
    assert "to open mira / forecast" in page
    assert "to open" not in text(Client().get(LOGIN + "?next=/manage/users"))


def test_a_wrong_password_keeps_the_name_and_says_what_to_do(cast, text):
    response = sign_in(Client(), password="wrong", next="/mira/forecast")
    assert response.status_code == 422
    assert 'value="mira"' in response.content.decode()
    assert 'value="/mira/forecast"' in response.content.decode()
    assert "wrong" not in response.content.decode()
    assert "An administrator can send you a link" in text(response)


def test_a_locked_account_looks_like_a_wrong_password(cast, text):
    wrong = text(sign_in(Client(), password="wrong"))
    actions.lock_user(cast.mira, by=None)
    assert wrong.split("AEN", 2)[2][:50] in text(sign_in(Client()))
    assert sign_in(Client()).status_code == 422


def test_an_ended_session_is_explained(cast, text):
    client = Client()
    sign_in(client)
    actions.set_password(cast.mira, "another-Password-2", by=cast.mira)
    response = client.get("/", follow=True)
    assert "Your session has ended" in text(response)
    assert "Your session has ended" not in text(Client().get(LOGIN + "?next=/"))


def test_signing_out_needs_a_post(cast):
    client = Client()
    sign_in(client)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/")["Location"] == LOGIN
    assert client.get("/").status_code == 302


def test_a_one_time_link_sets_a_password_once(cast, text):
    link, client = actions.password_link(cast.vera, by=cast.ada), Client()
    assert "for vera" in text(client.get(link))
    good = {"password": "quite-a-Long-one", "again": "quite-a-Long-one"}
    assert client.post(link, good | {"again": "other"}).status_code == 422
    assert client.post(link, {"password": "short", "again": "short"}).status_code == 422
    assert client.post(link, good)["Location"] == "/"
    assert client.get("/").status_code == 200
    assert Client().post(link, good).status_code == 410
    assert sign_in(Client(), "vera", "quite-a-Long-one").status_code == 302


def test_a_broken_link_says_that_it_is_over(cast, text):
    for link in (
        "/accounts/password/xx/yy/",
        "/accounts/password/OTk/yy/",
        actions.password_link(cast.vera, by=cast.ada)[:-3] + "/",
    ):
        response = Client().get(link)
        assert response.status_code == 410 and "This link is over" in text(response)


def test_a_changed_password_keeps_this_browser_and_ends_the_others(cast, browse):
    here, there = browse("mira"), browse("mira")
    new = {
        "current": "mira-Secret-1",
        "password": "another-Password-2",
        "again": "another-Password-2",
    }
    assert here.post("/accounts/password", new | {"current": "x"}).status_code == 422
    assert here.post("/accounts/password", new).status_code == 302
    assert here.get("/").status_code == 200
    assert there.get("/").status_code == 302


def test_a_token_is_shown_once_and_can_be_revoked(cast, browse):
    mira = browse("mira")
    response = mira.post("/accounts/tokens", {"name": "nightly", "scopes": ["api", "apps"]})
    token = ApiToken.objects.get()
    assert response.status_code == 201 and "aen_" in response.context["secret"]
    assert response.context["secret"] in response.content.decode()
    page = mira.get("/accounts/").content.decode()
    assert "nightly" in page and response.context["secret"] not in page
    assert mira.post(f"/accounts/tokens/{token.pk}/revoke").status_code == 302
    assert not ApiToken.objects.exists()


def test_a_token_needs_a_name_and_a_scope(cast, browse):
    response = browse("mira").post("/accounts/tokens", {"name": "kept", "scopes": []})
    assert response.status_code == 422 and 'value="kept"' in response.content.decode()
    assert (
        browse("mira").post("/accounts/tokens", {"name": "x", "scopes": ["root"]}).status_code
        == 422
    )


def test_signing_out_everywhere_ends_all_sessions(cast, browse):
    here, there = browse("mira"), browse("mira")
    here.post("/accounts/sign-out-everywhere")
    assert here.get("/").status_code == there.get("/").status_code == 302


def test_the_colours_are_remembered_without_javascript(cast, browse):
    mira = browse("mira")
    assert mira.post("/accounts/theme", {"theme": "dark", "next": "/new/"})["Location"] == "/new/"
    assert 'data-bs-theme="dark"' in mira.get("/").content.decode()
    mira.cookies["aen_theme"] = '"><script>'
    assert "data-bs-theme" not in mira.get("/").content.decode()
