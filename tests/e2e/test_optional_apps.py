"""Apps that a site opts into, in a browser: what is missing is said, and once there they work."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import code_server
import pytest
from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import expect
from running_site import CACHE, ROOT, until
from test_main_job import LAUNCH, create_project, open_app, tile

from compute_agent.environments.uv_maker import find_uv
from compute_agent.host.errors import HostError
from compute_agent.needs import PATH

pytestmark = pytest.mark.browser

APPS = ["streamlit", "panel", "bokeh", "shiny", "marimo", "voila", "code-server"]
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
BOKEH = """from bokeh.io import curdoc
from bokeh.layouts import column
from bokeh.models import Div, NumericInput
hours, text = NumericInput(title="Hours", value=3), Div(text="doubled is 6")
hours.on_change("value", lambda name, old, new: text.update(text=f"doubled is {2 * new}"))
curdoc().add_root(column(hours, text))
"""
SHINY = """from shiny import App, render, ui
page = ui.page_fluid(ui.input_numeric("hours", "Hours", 3), ui.output_text("text"))
def server(input, output, session):
    @render.text
    def text():
        return f"doubled is {2 * input.hours()}"
app = App(page, server)
"""
MARIMO = """import marimo
app = marimo.App()
@app.cell
def _():
    print(f"doubled is {2 * 21}")
if __name__ == "__main__":
    app.run()
"""
VOILA = {
    "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [],
               "execution_count": None, "source": "print(f'doubled is {2 * 21}')"}],
    "metadata": {}, "nbformat": 4, "nbformat_minor": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def chosen(site):
    """The site with the node's option ``apps`` set."""
    choose(site, APPS)
    yield site


def choose(site, apps):
    """Set the node's option ``apps``, as its administrator would."""
    path = site.home / "node/compute-launcher-config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"apps": apps}))
    site.kill("compute")


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
    """Make what is new below ``path`` Mira's; other files are links to what all projects share."""
    if ROOT:
        account = site.account_of(site.person("mira"))
        new = ["(", "-type", "f", "-links", "1", "-o", "!", "-type", "f", ")"]
        give = ["-exec", "chown", "-h", f"{account}:", "{}", "+"]
        subprocess.run(["find", path, *new, *give], check=True)


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


def opened(site, page, app, title, *, file, text):
    """Make a project with the app's package and file, and return the tab of the running app."""
    create_project(page, site, f"with-{app}")
    offered(page, title)
    tile(page, title).get_by_role("button", name="Open").click()
    expect(page.get_by_text("not installed in this project").first).to_be_visible(timeout=LAUNCH)
    install(site, f"with-{app}", app, *(["ipykernel"] if app == "voila" else []))
    write(site, f"with-{app}", file, text)
    tile(page, title).get_by_role("button", name="Reset").click()
    return open_app(page, title)


@pytest.mark.parametrize(
    ("app", "title", "text"),
    [("panel", "Panel", PANEL), ("bokeh", "Bokeh", BOKEH), ("shiny", "Shiny", SHINY)],
)
def test_a_dashboard_computes_what_is_typed(chosen, visit, app, title, text):
    page = visit("mira")
    doubled(opened(chosen, page, app, title, file=f"{app}_app.py", text=text), "Hours")


def test_marimo_runs_a_notebook(chosen, visit):
    tab = opened(chosen, visit("mira"), "marimo", "marimo", file="load.py", text=MARIMO)
    tab.goto(f"{tab.url.partition('?')[0]}?file=load.py")
    run_all = tab.get_by_test_id("run-button").last
    run_all.wait_for(timeout=LAUNCH)

    def printed():
        with contextlib.suppress(NotInTime):  # it is off while cells run
            run_all.click(timeout=1000)
        return tab.get_by_text("doubled is 42").count()

    until(printed, "the cell to print")  # a click before the kernel is ready is lost


def test_voila_shows_what_a_notebook_prints(chosen, visit):
    text = json.dumps(VOILA)
    tab = opened(chosen, visit("mira"), "voila", "Voilà", file="load.ipynb", text=text)
    with tab.context.expect_page() as shown:
        tab.get_by_text("load.ipynb").click()
    expect(shown.value.get_by_text("doubled is 42")).to_be_visible(timeout=LAUNCH)


def test_code_server_says_it_is_not_installed_and_then_edits_a_file(chosen, visit):
    opens_readme(opened_code_server(chosen, visit("mira")))


def opened_code_server(site, page):
    """Make a project, put code-server where its apps find it, and return the running app's tab."""
    installed = shutil.which("code-server", path=PATH)
    try:
        program = None if installed else code_server.program()
    except code_server.Absent as reason:
        pytest.skip(str(reason))
    create_project(page, site, "coded")
    offered(page, "Code")
    if program is not None:
        tile(page, "Code").get_by_role("button", name="Open").click()
        lacks = "code-server is not installed on this node"
        expect(page.get_by_text(lacks).first).to_be_visible(timeout=LAUNCH)
        programs = site.home / "projects" / site.person("mira") / "coded/envs/default/bin"
        programs.joinpath("code-server").symlink_to(program)
        tile(page, "Code").get_by_role("button", name="Reset").click()
    return open_app(page, "Code")


def opens_readme(tab):
    """Open a file of the project in code-server's tab."""
    trust = tab.get_by_role("button", name=re.compile("Yes, I trust"))
    tab.get_by_role("treeitem", name="README.md").or_(trust).first.wait_for(timeout=LAUNCH)
    if trust.count():
        trust.click()
    tab.get_by_role("treeitem", name="README.md").dblclick()
    expect(tab.get_by_role("tab", name="README.md")).to_be_visible(timeout=LAUNCH)
