"""The main job in a browser: sign in, create a project, run a notebook, lose nothing."""

import contextlib
import re

import pytest
from playwright.sync_api import TimeoutError, expect
from running_site import ROOT, until

pytestmark = pytest.mark.browser

LAUNCH = 60_000  # milliseconds; a machine with other work is slow, no figure is asserted
#: JupyterLab waits longer from try to try, up to a minute, for a gateway that was killed.
RECONNECT = 150
ASK_AGAIN = 15_000
STEPS = ["Account", "Directory", "Permissions", "Environment", "Launch", "Ready"]


def create_project(page, site, name, summary=""):
    page.goto(f"{site.url}/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Summary").fill(summary)
    page.get_by_role("button", name="Create project").click()
    page.wait_for_url(re.compile(f"/{name}$"))


def tile(page, title):
    return page.locator("[data-app]").filter(has=page.get_by_text(title, exact=True))


def open_app(page, title):
    """Click Open and return the tab that appears once the app is ready."""
    with page.context.expect_page(timeout=LAUNCH) as opened:
        tile(page, title).get_by_role("button", name="Open").click()
    opened.value.wait_for_load_state()
    return opened.value


class Notebook:
    """A notebook in JupyterLab, driven as a person does."""

    def __init__(self, tab):
        self.tab = tab
        tab.locator(".jp-LauncherCard[data-category='Notebook']").first.click(timeout=LAUNCH)
        tab.locator(".jp-Notebook .cm-content").first.wait_for(timeout=LAUNCH)
        # The status bar says so once the kernel has answered; before that a cell would not run.
        tab.get_by_text(re.compile(r"default \(.*\) \| Idle")).wait_for(timeout=LAUNCH)

    def run(self, code):
        """Run code in the last cell, which is empty, and return what it prints."""
        # The last cell is another one once this has run: hold on to this one by its number.
        number = self.tab.locator(".jp-Notebook-cell.jp-CodeCell").count() - 1
        cell = self.tab.locator(".jp-Notebook-cell.jp-CodeCell").nth(number)
        editor = cell.locator(".cm-content")
        editor.fill(code)
        expect(editor).to_contain_text(code)
        output = cell.locator(".jp-OutputArea-output").first

        def printed():
            # Until it is connected again JupyterLab may forget what it was asked: ask as a person does.
            editor.press("Shift+Enter")
            with contextlib.suppress(TimeoutError):
                output.wait_for(timeout=ASK_AGAIN)
                return True

        until(printed, "the cell to print", RECONNECT)
        return output.inner_text().strip()


def test_a_new_user_is_invited_to_create_a_project(visit, site):
    page = visit("nora")
    expect(page.get_by_text("You have no projects yet")).to_be_visible()
    create_project(page, site, "first-steps", "Trying it out")
    expect(page.get_by_role("heading", level=1)).to_contain_text("first-steps")
    for title in ("Notebook", "JupyterLab", "Terminal"):
        expect(tile(page, title)).to_be_visible()


def test_a_bad_name_is_explained_and_what_was_typed_is_kept(visit, site):
    page = visit("nora")
    page.goto(f"{site.url}/new/")
    page.get_by_label("Name", exact=True).fill("My Project")
    page.get_by_label("Summary").fill("A summary worth keeping")
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_text("small letters, digits and hyphens").first).to_be_visible()
    expect(page.get_by_label("Summary")).to_have_value("A summary worth keeping")
    expect(page.get_by_label("Name", exact=True)).to_have_value("My Project")


def test_a_notebook_runs_as_its_person_and_outlives_every_process_of_aen(visit, site, capfd):
    page = visit("mira")
    create_project(page, site, "forecast")
    lab = open_app(page, "JupyterLab")
    for step in STEPS:
        expect(page.get_by_text(step, exact=True).first).to_be_visible()
    expect(tile(page, "JupyterLab")).to_contain_text("Running", timeout=LAUNCH)
    assert lab.url.startswith(site.gateway)

    notebook = Notebook(lab)
    where = notebook.run(
        "import getpass, os, sys; kept = 42; print(getpass.getuser(), os.getcwd(), sys.prefix)"
    )
    with capfd.disabled():
        print(f"\nthe cell says: {where}")
    account, directory, prefix = where.split()
    username = site.person("mira")
    home = f"{site.home}/projects/{username}/forecast"
    assert (account, directory) == (site.account_of(username), home)
    assert prefix == f"{home}/envs/default"

    for program in ("server", "worker", "gateway", "compute"):
        site.kill(program)
        assert notebook.run(f"print(kept, {program!r})") == f"42 {program}"
    expect(tile(page, "JupyterLab")).to_contain_text("Running", timeout=LAUNCH)

    notebook.run("open('result.txt', 'w').write('kept'); print('written')")
    tile(page, "JupyterLab").get_by_role("button", name=re.compile("Stop")).click()
    expect(tile(page, "JupyterLab")).to_contain_text("Stopped", timeout=LAUNCH)
    again = open_app(page, "JupyterLab")
    expect(again.get_by_text("result.txt")).to_be_visible(timeout=LAUNCH)


def test_a_terminal_opens_in_the_projects_directory(visit, site):
    page = visit("tess")
    create_project(page, site, "shell")
    terminal = open_app(page, "Terminal")
    terminal.locator(".xterm-screen").first.wait_for(timeout=LAUNCH)
    terminal.locator(".xterm-helper-textarea").first.focus()
    terminal.keyboard.type("id -un > who; pwd >> who; echo done >> who\n")
    written = site.home / "projects" / site.person("tess") / "shell" / "who"
    until(lambda: written.exists() and "done" in written.read_text(), "the shell to write")
    account, directory, _ = written.read_text().split()
    assert (account, directory) == (site.account_of(site.person("tess")), str(written.parent))


def test_the_notebook_app_opens(visit, site):
    page = visit("nora")
    create_project(page, site, "classic")
    tab = open_app(page, "Notebook")
    expect(tab.get_by_text("README.md")).to_be_visible(timeout=LAUNCH)


def test_nobody_else_finds_a_private_project_or_its_app(visit, site):
    owner = site.person("mira")
    stranger = visit("otto")
    assert stranger.goto(f"{site.url}/{owner}/forecast").status == 404
    assert stranger.goto(f"{site.gateway}/{owner}/forecast/lab/").status == 404
    stranger.goto(f"{site.url}/explore/")
    expect(stranger.get_by_text("forecast")).to_have_count(0)


def test_signing_out_shuts_the_open_app(visit, site):
    page = visit("vera")
    create_project(page, site, "leaving")
    lab = open_app(page, "JupyterLab")
    lab.locator(".jp-LauncherCard").first.wait_for(timeout=LAUNCH)
    page.get_by_role("button", name=re.compile("Account")).click()
    page.get_by_role("button", name="Sign out").click()
    until(
        lambda: lab.evaluate("fetch(location.href).then(r => r.redirected || r.status)") != 200,
        "the app to refuse",
    )


@pytest.mark.skipif(not ROOT, reason="only root can start apps as other accounts")
def test_on_disk_one_persons_project_is_closed_to_another(site):
    import subprocess

    owner, stranger = site.person("mira"), site.person("tess")
    folder = site.home / "projects" / owner / "forecast"
    for command in (["ls", folder], ["cat", folder / "README.md"], ["touch", folder / "mine"]):
        done = subprocess.run(
            ["runuser", "-u", stranger, "--", *map(str, command)], capture_output=True, check=False
        )
        assert done.returncode != 0, command
