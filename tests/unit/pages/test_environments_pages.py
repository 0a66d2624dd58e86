"""A project's environments on its pages, without JavaScript."""

import pytest

from compute_agent.protocol import AppStatus
from datacenters.models import Node
from projects import actions, reports
from projects.models import AppInstance, Project

PAGE = "/mira/forecast/environments"
CHANGES = "/mira/forecast/environment-changes"
NASTY = "<script>alert(1)</script>\x1b[31m\u202e"


def reported(row, state, revision=1, **more):
    reports.take(row.node, AppStatus(row.pk.hex, revision, state, **more))
    row.refresh_from_db()


def posts(read, response):
    """Return where the forms of the page's own lead."""
    own = [form["attrs"].get("action", "") for form in read(response).forms]
    own = [action.partition("#")[0] for action in own if "environment" in action]
    return {action.removeprefix("/mira/forecast/") for action in own}


def test_the_team_sees_what_there_is_and_only_who_may_change_it_is_offered_to(
    answering, browse, read, text
):
    for name in ("mira", "max", "edda", "vera"):
        listed, shown = browse(name).get(PAGE), browse(name).get(f"{PAGE}/default")
        assert "default" in text(listed) and "Python 3.11" in text(listed)
        assert "pandas 2.2.0" in text(shown)
        changes = posts(read, listed) | posts(read, shown)
        offered = {"environments", *(f"environments/default/{act}" for act in ("install", "copy"))}
        assert offered <= changes if name != "vera" else not offered & changes


def test_outsiders_find_nothing(answering, browse):
    assert browse("otto").get(PAGE).status_code == 404
    Project.objects.update(visibility="public")
    assert browse("otto").get(PAGE).status_code == 403
    assert "Environments" not in browse("otto").get("/mira/forecast").content.decode()


def test_an_environment_that_is_not_there_has_no_page(answering, browse):
    answering.finds = {"cause": "There is no environment x here.", "missing": True}
    for path in (f"{PAGE}/x", f"{PAGE}/x/export"):
        assert browse("mira").get(path).status_code == 404


def test_packages_are_installed_and_the_page_follows_to_the_end(answering, browse, text, read):
    edda = browse("edda")
    answer = edda.post(f"{PAGE}/default/install", {"packages": "pandas  matplotlib==3.9"})
    assert answer.status_code == 302
    row = AppInstance.objects.get()
    assert row.change == {"action": "install", "name": "default",
                          "packages": ["pandas", "matplotlib==3.9"]}  # fmt: skip
    page = edda.get(PAGE)
    assert "Installing pandas, matplotlib==3.9 in default" in text(page)
    assert "waiting for node-1" in text(page)
    assert '<meta http-equiv="refresh"' in page.content.decode()
    assert posts(read, page) == {f"environment-changes/{row.pk}/cancel"}  # one at a time
    reported(row, "running", log=("Resolved 2 packages", NASTY))
    assert "Resolved 2 packages" in text(edda.get(PAGE))
    assert "<script>alert" not in edda.get(PAGE).content.decode()
    reported(row, "stopped", 2, exit_code=0)
    page = edda.get(PAGE)
    assert "Installed pandas, matplotlib==3.9 in default" in text(page)
    assert '<meta http-equiv="refresh"' not in page.content.decode()
    assert "installed packages in the environment default" in text(edda.get("/mira/forecast"))


def test_the_moving_part_says_nothing_twice_and_has_the_page_loaded_at_the_end(
    answering, project, cast, browse
):
    row = actions.delete_environment(project, "old", by=cast.mira)
    vera, headers = browse("vera"), {"HX-Request": "true"}

    def moved(seen):
        return vera.get(f"{CHANGES}?seen={seen}", headers=headers)

    assert moved("")["HX-Refresh"] == "true"  # it began after the page was loaded
    assert moved(f"{row.pk.hex}-requested-0").status_code == 204
    assert not moved(f"{row.pk.hex}-requested-0").has_header("HX-Refresh")
    reported(row, "running")
    assert "Deleting old" in moved(f"{row.pk.hex}-requested-0").content.decode()
    reported(row, "stopped", 2, exit_code=0)
    assert moved(f"{row.pk.hex}-running-1")["HX-Refresh"] == "true"


def test_a_failed_change_says_why_until_somebody_closes_that(
    answering, project, cast, browse, text
):
    row = actions.install_packages(project, "default", ["nothing"], by=cast.edda)
    reported(row, "failed", cause=f"No such package. {NASTY}", mend="All is as it was.")
    page = browse("mira").get(PAGE)
    assert "Installing nothing in default failed" in text(page)
    assert "No such package." in text(page) and "<script>alert" not in page.content.decode()
    assert "1 app failed" not in text(browse("edda").get("/mira/forecast"))
    browse("mira").post(f"{CHANGES}/{row.pk}/dismiss")
    assert "failed" not in text(browse("mira").get(PAGE))


def test_a_change_is_cancelled(answering, project, cast, browse, text):
    row = actions.create_environment(project, "x", by=cast.edda)
    browse("edda").post(f"{CHANGES}/{row.pk}/cancel")
    row.refresh_from_db()
    reported(row, "stopped", 2, exit_code=130)
    assert "Making x: cancelled" in text(browse("vera").get(PAGE))


def test_what_is_typed_is_kept_and_the_error_stands_under_its_field(answering, browse, text):
    page = browse("mira").post(PAGE, {"name": "a b", "packages": "pandas"})
    assert page.status_code == 422
    assert "is no name of an environment" in text(page)
    assert 'value="a b"' in page.content.decode() and 'value="pandas"' in page.content.decode()
    page = browse("mira").post(f"{PAGE}/default/install", {"packages": "--index-url=x"})
    assert page.status_code == 422 and "is no package" in text(page)
    assert not AppInstance.objects.exists()


def test_a_second_change_is_refused_in_words(answering, project, cast, browse, text):
    actions.create_environment(project, "x", by=cast.edda)
    page = browse("mira").post(PAGE, {"name": "y"})
    assert page.status_code == 409
    assert AppInstance.objects.count() == 1


def test_deleting_asks_first_and_exporting_gives_a_file(answering, browse, text):
    mira = browse("mira")
    page = mira.get(f"{PAGE}/default/delete")
    assert "Delete the environment default?" in text(page)
    assert "is made by the next app" in text(page)
    assert not AppInstance.objects.exists()
    mira.post(f"{PAGE}/default/delete")
    assert AppInstance.objects.get().change == {"action": "delete", "name": "default"}
    file = browse("vera").get(f"{PAGE}/default/export")
    assert file.content == b"numpy==2.1.0\npandas==2.2.0\n"
    assert 'filename="forecast-default.txt"' in file["Content-Disposition"]
    assert browse("vera").get(f"{PAGE}/default/delete").status_code == 403


def test_before_the_first_start_and_without_the_node_the_page_says_so(
    project, center, browse, text
):
    assert "The first app that starts makes default" in text(browse("mira").get(PAGE))
    Project.objects.update(node=center.node)
    Node.objects.update(up=False, cause="Connection refused.")
    page = browse("mira").get(PAGE)
    assert page.status_code == 200
    assert "node-1 can’t be reached. Connection refused." in text(page)


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/default", f"{PAGE}/default/delete"])
def test_every_post_has_its_token_and_nothing_runs_in_the_page(answering, browse, read, path):
    found = read(browse("mira").get(path))
    assert not found.scripts
    for form in found.forms:
        if form["attrs"].get("method") == "post":
            assert "csrfmiddlewaretoken" in form["fields"], form
