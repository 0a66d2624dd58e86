"""Projects on pages, without JavaScript: every act is a form, and bad input loses nothing."""

import pytest

from projects import access, actions
from projects.models import AppInstance, Project

PROJECT = "/mira/forecast"


def test_a_new_person_is_invited_to_create_a_project(center, browse, text):
    assert "You have no projects yet" in text(browse("otto").get("/"))


def test_a_project_is_created_and_shown(center, browse, text):
    data = {"name": "wind", "visibility": "public", "summary": "Wake model"}
    response = browse("otto").post("/new/", data)
    assert response["Location"] == "/otto/wind"
    page = text(browse("otto").get("/otto/wind"))
    assert "Wake model" in page and "Public" in page and "JupyterLab" in page


@pytest.mark.parametrize(
    "name", ["", "Wind", "w", "9wind", "a" * 33, "settings", "wind park", "<b>"]
)
def test_a_bad_name_is_explained_and_nothing_typed_is_lost(center, browse, name):
    data = {"name": name, "visibility": "public", "summary": "Kept <summary>"}
    response = browse("otto").post("/new/", data)
    page = response.content.decode()
    assert response.status_code == 422
    assert 'id="id_name_error"' in page and 'aria-invalid="true"' in page
    assert "Kept &lt;summary&gt;" in page and 'value="public" checked' in page
    assert not Project.objects.filter(owner__username="otto").exists()


@pytest.mark.django_db(transaction=True)
def test_a_taken_name_is_a_conflict(project, browse, text):
    response = browse("mira").post("/new/", {"name": "forecast", "visibility": "private"})
    assert response.status_code == 422
    assert "You have a project “forecast” already" in text(response)


def test_opening_an_app_starts_it_and_comes_back_to_the_project(project, browse, text):
    mira = browse("mira")
    assert mira.post(PROJECT + "/apps/lab/start")["Location"] == PROJECT
    assert AppInstance.objects.get().state == "requested"
    page = text(mira.get(PROJECT))
    assert "Starting JupyterLab" in page and "Waiting" in page and "Cancel" in page


def test_starting_twice_starts_once(project, browse):
    for _ in range(2):
        browse("mira").post(PROJECT + "/apps/lab/start")
    assert AppInstance.objects.count() == 1


def test_a_start_that_no_node_takes_says_why_in_the_page(project, center, browse, text):
    from datacenters.models import Node

    Node.objects.update(up=False, last_seen=None, cause="connection refused")
    response = browse("mira").post(PROJECT + "/apps/lab/start", follow=True)
    assert "connection refused" in text(response)
    part = browse("mira").post(PROJECT + "/apps/lab/start", headers={"HX-Request": "true"})
    assert part.status_code == 200 and "connection refused" in text(part)


def test_an_app_that_is_not_offered_is_refused_in_words(project, browse, text):
    assert "There is no app “nonesuch”" in text(
        browse("mira").post(PROJECT + "/apps/nonesuch/start", follow=True)
    )


def test_stopping_returns_to_where_one_was_and_stopping_again_changes_nothing(project, browse, run):
    row = run("mira", "lab", "running")
    mira = browse("mira")
    assert mira.post(PROJECT + "/apps/lab/stop", {"next": "/running/"})["Location"] == "/running/"
    assert mira.post(PROJECT + "/apps/lab/stop", {"next": "//evil"})["Location"] == PROJECT
    row.refresh_from_db()
    assert row.state == "stopping"


def test_a_failure_shows_cause_mend_and_last_output_until_it_is_reset(project, browse, run, text):
    run(
        "mira",
        "lab",
        "failed",
        cause="The disk is full. 0 bytes are free.",
        mend="Remove files.",
        log=["no space"],
    )
    mira = browse("mira")
    page = text(mira.get(PROJECT))
    for words in (
        "JupyterLab did not start",
        "The disk is full",
        "Remove files.",
        "no space",
        "1 app failed",
    ):
        assert words in page
    mira.post(PROJECT + "/apps/lab/reset")
    assert "did not start" not in text(mira.get(PROJECT))


def test_one_sees_ones_own_apps_only(project, browse, run):
    run("edda", "lab", "failed", cause="Edda’s cause")
    assert "Edda’s cause" not in browse("mira").get(PROJECT).content.decode()


def test_looking_again_sends_nothing_when_nothing_changed(project, browse, run):
    row = run("mira", "lab", "starting")
    mira, headers = browse("mira"), {"HX-Request": "true"}
    first = mira.get(PROJECT + "/workspace", headers=headers)
    seen = first.context["workspace"].seen
    assert mira.get(f"{PROJECT}/workspace?seen={seen}", headers=headers).status_code == 204
    AppInstance.objects.filter(pk=row.pk).update(revision=9, log=["more"])
    assert "more" in mira.get(f"{PROJECT}/workspace?seen={seen}", headers=headers).content.decode()


def test_the_page_looks_often_while_something_starts_and_seldom_else(project, browse, run):
    assert 'hx-trigger="every 5s"' in browse("mira").get(PROJECT).content.decode()
    run("mira", "lab", "preparing")
    page = browse("mira").get(PROJECT).content.decode()
    assert 'hx-trigger="every 500ms"' in page and '<noscript><meta http-equiv="refresh"' in page


def test_a_running_app_is_a_plain_link_to_its_gateway(project, browse, run):
    run("mira", "lab", "running", memory=300 * 1024**2)
    page = browse("mira").get(PROJECT).content.decode()
    assert 'href="http://gateway.test/mira/forecast/lab/" target="_blank" rel="noopener"' in page
    assert "Running, 0.3 GB" in page


def test_the_memory_of_a_small_app_is_not_shown_as_none(project, browse, run):
    run("mira", "lab", "running", memory=12 * 1024**2)
    assert "Running, 12 MB" in browse("mira").get(PROJECT).content.decode()


def test_the_description_is_rendered_previewed_and_saved(project, browse):
    mira = browse("mira")
    data = {"summary": "S", "description": "# One\n\n**bold** <b>not</b>"}
    preview = mira.post(PROJECT + "/settings", data | {"preview": "1"}).content.decode()
    assert "<strong>bold</strong>" in preview and "not saved yet" in preview
    project.refresh_from_db()
    assert project.description == ""
    mira.post(PROJECT + "/settings", data)
    page = mira.get(PROJECT).content.decode()
    assert "<h2>One</h2>" in page and "<strong>bold</strong>" in page and "&lt;b&gt;not" in page


def test_the_team_is_changed_by_forms(project, browse, cast, text):
    mira = browse("mira")
    page = mira.post(
        PROJECT + "/settings/team/add", {"user": "otto", "role": "viewer"}, follow=True
    )
    assert "otto is now a viewer." in text(page)
    page = mira.post(PROJECT + "/settings/team/otto/role", {"role": "editor"}, follow=True)
    assert "otto is now an editor." in text(page) and "Undo" in text(page)
    assert access.role_of(cast.otto, project) == "editor"
    mira.post(PROJECT + "/settings/team/otto/remove")
    assert access.role_of(cast.otto, project) is None


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nobody", "There is no user “nobody”"),
        ("edda", "on the team already"),
        ("", "Type the user name"),
    ],
)
def test_who_cannot_be_added_is_named_under_the_field(project, browse, text, user, words):
    response = browse("mira").post(PROJECT + "/settings/team/add", {"user": user, "role": "viewer"})
    assert response.status_code in (409, 422)
    assert words in text(response) and f'value="{user}"' in response.content.decode()


def test_a_manager_is_offered_no_more_than_they_may_give(project, browse, cast):
    page = browse("max").get(PROJECT + "/settings/team").content.decode()
    assert "Role of edda" in page and "Role of mira" not in page
    assert browse("max").post(PROJECT + "/settings/team/mira/remove").status_code == 404


def test_suggestions_mark_what_was_typed_and_who_is_in_the_team(project, browse):
    page = browse("mira").get(PROJECT + "/settings/team/suggest?user=ott").content.decode()
    assert "<b>ott</b>o" in page
    assert (
        "edda is already on the team as editor"
        in browse("mira").get(PROJECT + "/settings/team/suggest?user=edd").content.decode()
    )
    assert (
        browse("mira").get(PROJECT + "/settings/team/suggest?user=<b>").content.decode().strip()
        == ""
    )


def test_removing_lists_what_ends_with_counts(project, browse, run, text):
    run("edda", "lab", "running")
    page = text(browse("mira").get(PROJECT + "/settings/team/edda/remove"))
    assert (
        "Remove edda from forecast?" in page
        and "Remove and end 1 app" in page
        and "Keep edda" in page
    )


def test_a_member_may_leave(project, browse, cast):
    assert browse("vera").post(PROJECT + "/settings/team/vera/remove")["Location"] == "/"
    assert access.role_of(cast.vera, project) is None


def test_visibility_can_be_undone(project, browse, text):
    page = browse("mira").post(
        PROJECT + "/settings/visibility", {"visibility": "public"}, follow=True
    )
    assert "forecast is now public." in text(page)
    assert '<input type="hidden" name="visibility" value="private">' in page.content.decode()


def test_deleting_needs_the_name_typed(project, browse, text):
    mira = browse("mira")
    response = mira.post(PROJECT + "/settings/delete", {"confirm": "Forecast"})
    assert response.status_code == 422 and "This is not the project’s name" in text(response)
    assert mira.post(PROJECT + "/settings/delete", {"confirm": "forecast"})["Location"] == "/"
    assert mira.get(PROJECT).status_code == 404


def test_home_orders_by_activity_and_offers_what_fits(project, browse, run, text):
    actions.create_project(project.owner, "newer")
    mira = browse("mira")
    page = text(mira.get("/"))
    assert page.index("newer") < page.index("Day-ahead load")
    run("mira", "lab", "failed", cause="x")
    assert "See why" in text(mira.get("/"))
    run("mira", "notebook", "starting")
    assert "Watch start" in text(mira.get("/"))


def test_home_tells_what_others_did_since_one_was_last_here(project, browse, cast):
    from datetime import timedelta

    from django.utils import timezone

    cast.edda.last_seen = timezone.now() - timedelta(days=1)
    cast.edda.save()
    page = browse("edda").get("/").content.decode()
    assert "Since you were last here" in page and ">vera</b>" in page


def test_search_finds_words_in_name_owner_and_summary(project, browse):
    for words in ("fore", "mira", "day-ahead LOAD", "mira/forecast"):
        assert "forecast</b>" in browse("edda").get("/explore/", {"q": words}).content.decode(), (
            words
        )
    assert "Nothing matches" in browse("edda").get("/explore/?q=nowhere").content.decode()


def test_running_lists_ones_own_apps(project, browse, run, text):
    run("mira", "lab", "running")
    run("edda", "terminal", "running")
    page = text(browse("mira").get("/running/"))
    assert "JupyterLab" in page and "Terminal" not in page


def test_a_slash_at_the_end_is_the_same_project(project, browse):
    assert browse("mira").get(PROJECT + "/")["Location"] == PROJECT
