"""Apps that a site opts into, in a browser: what is missing is said, and once there they work."""

import json
import os
import subprocess

import pytest
from playwright.sync_api import expect
from running_site import CACHE, ROOT, until
from test_main_job import LAUNCH, create_project, open_app, tile

from compute_agent.environments.uv_maker import find_uv
from compute_agent.host.errors import HostError

pytestmark = pytest.mark.browser

APPS = ["streamlit", "panel"]
STREAMLIT = """import streamlit as st
hours = st.number_input("Hours", value=3)
st.write(f"doubled is {2 * hours}")
"""
PANEL = """import panel as pn
pn.extension()
hours = pn.widgets.IntInput(name="Hours", value=3)
text = pn.bind(lambda hours: f"doubled is {2 * hours}", hours)
pn.Column(hours, pn.pane.Markdown(text)).servable()
"""


@pytest.fixture(scope="module")
def chosen(site):
    """The site with the node's option ``apps`` set, as its administrator would."""
    path = site.home / "node/compute-launcher-config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"apps": APPS}))
    site.kill("compute")
    yield site


def write(site, project, name, text):
    """Save a file in Mira's project as if she had."""
    path = site.home / "projects" / site.person("mira") / project / name
    path.write_text(text)
    _give(site, path)


def install(site, project, *packages):
    """Put packages into the project's environment; skip where they cannot be had."""
    environment = site.home / "projects" / site.person("mira") / project / "envs/default"
    command = [find_uv(), "pip", "install", "--link-mode", "copy", "--python",
               environment / "bin/python", *packages]  # fmt: skip
    try:
        done = subprocess.run(
            command, env=os.environ | {"UV_CACHE_DIR": str(CACHE)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except HostError as error:
        pytest.skip(error.cause)
    if done.returncode:
        pytest.skip(f"{packages[0]} cannot be installed here: {done.stderr[-300:]}")
    _give(site, environment)


def _give(site, path):
    if ROOT:
        account = site.account_of(site.person("mira"))
        subprocess.run(["chown", "-hR", f"{account}:", path], check=True)


def doubled(tab, what):
    """Change the number on the page and wait for what the app makes of it."""
    expect(tab.get_by_text("doubled is 6")).to_be_visible(timeout=LAUNCH)
    field = tab.get_by_label(what)
    field.fill("21")
    field.press("Enter")
    expect(tab.get_by_text("doubled is 42")).to_be_visible(timeout=LAUNCH)


def offered(page, title):
    def shown():
        page.reload()
        return tile(page, title).count() == 1

    until(shown, f"{title} to be offered")


def test_streamlit_says_what_it_lacks_and_then_runs(chosen, visit):
    page = visit("mira")
    create_project(page, chosen, "load")
    offered(page, "Streamlit")
    tile(page, "Streamlit").get_by_role("button", name="Open").click()
    lacks = "streamlit is not installed in this project's environment default"
    expect(page.get_by_text(lacks).first).to_be_visible(timeout=LAUNCH)
    expect(page.get_by_text("aen env install default streamlit").first).to_be_visible()

    install(chosen, "load", "streamlit")
    tile(page, "Streamlit").get_by_role("button", name="Reset").click()
    tile(page, "Streamlit").get_by_role("button", name="Open").click()
    lacks = "There is no streamlit_app.py in the project"
    expect(page.get_by_text(lacks).first).to_be_visible(timeout=LAUNCH)

    write(chosen, "load", "streamlit_app.py", STREAMLIT)
    tile(page, "Streamlit").get_by_role("button", name="Reset").click()
    tab = open_app(page, "Streamlit")
    assert tab.url.startswith(f"{chosen.gateway}/{chosen.person('mira')}/load/streamlit/")
    doubled(tab, "Hours")


def test_panel_runs_and_answers_over_its_socket(chosen, visit):
    page = visit("mira")
    create_project(page, chosen, "board")
    offered(page, "Panel")
    tile(page, "Panel").get_by_role("button", name="Open").click()
    expect(page.get_by_text("panel is not installed").first).to_be_visible(timeout=LAUNCH)
    install(chosen, "board", "panel")
    write(chosen, "board", "panel_app.py", PANEL)
    tile(page, "Panel").get_by_role("button", name="Reset").click()
    tab = open_app(page, "Panel")
    doubled(tab, "Hours")
