"""Rights set by hand on the page: on the disk at once, after a restart, and explained."""

import subprocess

import pytest
from playwright.sync_api import expect
from running_site import ROOT, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not ROOT, reason="as one account files tell nobody apart: run it as root"),
]
NAME = "by-hand"
LAUNCH = 60


def as_person(username, *command):
    """Run a program as somebody's own account; return whether it succeeded."""
    whole = ["runuser", "-u", username, "--", *command]
    return subprocess.run(whole, capture_output=True, check=False).returncode == 0


def running(rest, project):
    """Start one's terminal and wait until it runs, so that account and rights are there."""
    rest.post(f"projects/{project}/apps/terminal/start", json={}).raise_for_status()
    state = lambda: rest.get(f"projects/{project}/apps/terminal").json()["state"] == "running"  # noqa: E731
    until(state, "the terminal to run", LAUNCH)


@pytest.mark.rule(13)
def test_a_right_set_by_hand_holds_on_the_disk_over_a_restart_and_is_explained(visit, site):
    mira, edda = site.person("mira"), site.person("edda")
    project, home = f"{mira}/{NAME}", site.home / "projects" / mira / NAME
    file = str(home / "data/load.csv")
    with site.rest("mira") as owner, site.rest("edda") as editor:
        owner.post("projects", json={"name": NAME}).raise_for_status()
        owner.put(f"projects/{project}/team/{edda}", json={"role": "editor"}).raise_for_status()
        for rest in (owner, editor):
            running(rest, project)
        assert as_person(mira, "mkdir", str(home / "data"))
        assert as_person(mira, "touch", file)
        assert as_person(edda, "test", "-w", file)

        page = visit("mira")
        set_read_only(page, site, project, edda)
        until(lambda: not as_person(edda, "test", "-w", file), "the write to be taken away")
        assert as_person(edda, "test", "-r", file)
        assert not as_person(edda, "touch", str(home / "data/new.csv"))

        check(page, edda, "data/load.csv")
        words = page.locator("#answer")
        expect(words).to_contain_text(f"{edda} can read data/load.csv, but not write.")
        expect(words).to_contain_text(f"{mira} set data to read only for {edda} by hand")
        told = site.manage("aen_check", "--project", project, "--user", edda, "--path", "data")
        assert "Nothing is wrong." in told

        own = visit("edda")
        own.goto(f"{site.url}/{project}/permissions?path=data/load.csv")
        expect(own.locator("#answer")).to_contain_text("but not write")
        expect(own.get_by_role("button", name="Set", exact=True)).to_have_count(0)

        stop(page, site, project)
        running(editor, project)
        assert not as_person(edda, "test", "-w", file)
        assert as_person(mira, "test", "-w", file)

        page.goto(f"{site.url}/{project}/permissions")
        page.get_by_role("button", name=f"Clear data for {edda}").click()
        until(lambda: as_person(edda, "test", "-w", file), "the role to count again")


def set_read_only(page, site, project, username):
    page.goto(f"{site.url}/{project}")
    page.get_by_role("link", name="Permissions").click()
    form = page.locator("section[aria-labelledby=by-hand]")
    form.get_by_label("File or folder").fill("data")
    form.get_by_label("Person").press_sequentially(username[:6])
    page.get_by_role("option").filter(has_text=username).click()
    form.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_text(f"Set for {username} on data: read only.")).to_be_visible()


def check(page, username, path):
    form = page.locator("section[aria-labelledby=check]")
    form.get_by_label("Person").fill(username)
    form.get_by_label("File or folder").fill(path)
    form.get_by_role("button", name="Check").click()


def stop(page, site, project):
    """Stop the project with its button, and wait until nothing runs in it."""
    page.goto(f"{site.url}/{project}")
    page.get_by_role("link", name="Stop project").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop 2 apps").click()
    expect(page.locator("#pill")).to_have_text("Stopped", timeout=LAUNCH * 1000)
