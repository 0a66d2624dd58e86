"""Anonymous visitors sign in, outsiders find nothing, members see what their role allows."""

import pytest
from django.test import Client

PROJECT = "/mira/forecast"
OF_A_PROJECT = [
    "", "/workspace", "/activity", "/permissions", "/permissions?path=x", "/permissions/suggest",
    "/apps/stop", "/settings", "/settings/team", "/settings/team/suggest",
    "/settings/team/edda/remove", "/settings/visibility", "/settings/data-center", "/settings/delete",
]  # fmt: skip
POSTS_OF_A_PROJECT = [
    "/apps/lab/start", "/apps/lab/stop", "/apps/lab/reset", "/apps/stop", "/permissions/set",
    "/permissions/clear", "/settings",
    "/settings/preview", "/settings/team/add", "/settings/team/edda/role",
    "/settings/team/edda/remove", "/settings/visibility", "/settings/delete",
]  # fmt: skip
LISTS = ["/", "/explore/", "/running/", "/new/", "/accounts/"]
MANAGE = ["", "users", "audit", "data-centers", "apps", "projects", "queue"]
MANAGE_POSTS = ["users/add", "users/vera/lock", "users/vera/unlock", "users/vera/link",
                "nodes/node-1/drain", "nodes/node-1/activate"]  # fmt: skip


@pytest.mark.parametrize("path", [*LISTS, *(PROJECT + part for part in OF_A_PROJECT), "/manage/"])
def test_who_is_not_signed_in_is_sent_to_sign_in(project, path):
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/?next=")


def test_a_project_that_is_not_there_also_sends_to_sign_in(db):
    assert Client().get("/no/such-project").status_code == 302


@pytest.mark.parametrize("part", OF_A_PROJECT)
def test_an_outsider_finds_no_private_project(project, browse, part):
    assert browse("otto").get(PROJECT + part).status_code == 404


@pytest.mark.parametrize("part", POSTS_OF_A_PROJECT)
def test_an_outsider_changes_nothing(project, browse, part):
    assert browse("otto").post(PROJECT + part).status_code == 404


@pytest.mark.parametrize("part", POSTS_OF_A_PROJECT)
def test_nothing_is_changed_by_get(project, browse, part):
    pages = {"/apps/stop", "/settings", "/settings/team/edda/remove", "/settings/visibility",
             "/settings/delete"}  # fmt: skip
    assert browse("mira").get(PROJECT + part).status_code == (200 if part in pages else 405)
    project.refresh_from_db()


@pytest.mark.parametrize(
    "path", [PROJECT + part for part in POSTS_OF_A_PROJECT] + ["/new/", "/accounts/tokens"]
)
def test_a_form_without_its_token_is_refused(project, cast, path):
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.mira)
    assert client.post(path).status_code == 403


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        ("", {"mira", "max", "edda", "vera"}),
        ("/permissions", {"mira", "max", "edda", "vera"}),
        ("/permissions/suggest", {"mira", "max"}),
        ("/apps/stop", {"mira", "max", "edda"}),
        ("/settings", {"mira", "max", "edda"}),
        ("/settings/team", {"mira", "max", "edda", "vera"}),
        ("/settings/team/suggest", {"mira", "max"}),
        ("/settings/visibility", {"mira"}),
        ("/settings/delete", {"mira"}),
    ],
)
def test_a_member_sees_the_pages_of_their_role(project, browse, part, allowed):
    for name in ("mira", "max", "edda", "vera"):
        assert browse(name).get(PROJECT + part).status_code == (200 if name in allowed else 403), (
            name
        )


def test_a_viewer_is_offered_no_start(project, browse, read):
    forms = read(browse("vera").get(PROJECT)).forms
    assert not [form for form in forms if "/apps/" in form["attrs"].get("action", "")]


def test_an_outsider_reads_a_public_project_and_opens_nothing(project, cast, browse):
    from projects import actions

    actions.update_project(project, by=cast.mira, visibility="public")
    assert browse("otto").get(PROJECT).status_code == 200
    assert browse("otto").post(PROJECT + "/apps/lab/start").status_code == 403


@pytest.mark.parametrize("part", MANAGE)
def test_only_administrators_find_the_administration(center, browse, part):
    assert browse("mira").get(f"/manage/{part}").status_code == 404
    assert browse("ada").get(f"/manage/{part}").status_code == 200


@pytest.mark.parametrize("part", MANAGE_POSTS)
def test_only_administrators_administer(center, browse, part):
    assert browse("mira").post(f"/manage/{part}").status_code == 404


def test_an_administrator_sees_no_private_project_of_others(project, browse):
    assert browse("ada").get(PROJECT).status_code == 404


def test_lists_show_nothing_of_others_private_projects(project, browse):
    for path in (
        "/",
        "/?tab=public",
        "/?tab=shared",
        "/explore/",
        "/explore/?q=forecast",
        "/running/",
    ):
        assert "forecast</b>" not in browse("otto").get(path).content.decode(), path


def test_one_cannot_revoke_the_token_of_another(project, cast, browse):
    from accounts import actions

    token, _ = actions.create_token(cast.mira, "mine", ["api"], by=cast.mira)
    assert browse("otto").post(f"/accounts/tokens/{token.pk}/revoke").status_code == 404


def test_a_part_of_a_page_sends_the_whole_page_to_sign_in(project):
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/mira/forecast?x=1"}
    response = Client().get(PROJECT + "/workspace", headers=headers)
    assert response.status_code == 204
    assert response["HX-Redirect"] == "/accounts/login/?next=%2Fmira%2Fforecast%3Fx%3D1"


def test_staff_who_are_no_superusers_cannot_act_on_a_superuser(center, cast, browse):
    cast.vera.is_staff = True
    cast.vera.save()
    for what in ("link", "lock"):
        assert browse("vera").post(f"/manage/users/ada/{what}").status_code == 403
