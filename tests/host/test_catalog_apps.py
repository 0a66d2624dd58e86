"""Apps by description on a real node: those that a node opts into, and an administrator's own."""

import contextlib
import json
import os
import pwd
import re
import socket
import subprocess
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, as_user, running, until

from compute_agent import ports
from compute_agent.catalog import OPTIONAL
from compute_agent.environments.uv_maker import find_uv

pytestmark = pytest.mark.host

#: The system's, which every account can run.
PYTHON = "/usr/bin/python3"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5)"
SHOW = "import http.server, os, sys; print(os.getcwd(), os.environ['COLOUR'], flush=True)"
FILES = {
    "streamlit": ("streamlit_app.py", "import streamlit as st\nst.title('Load')\n"),
    "panel": ("panel_app.py", "import panel as pn\npn.pane.Markdown('# Load').servable()\n"),
    "bokeh": ("bokeh_app.py", "from bokeh.io import curdoc\nfrom bokeh.models import Div\n"
                              "curdoc().add_root(Div(text='Load'))\n"),
    "shiny": ("shiny_app.py", "from shiny import App, ui\n"
                              "app = App(ui.page_fluid('Load of the grid'), None)\n"),
    "marimo": None,
    "voila": None,
}  # fmt: skip


@pytest.fixture
def describe(place, bare_environments):
    """A function that starts a node with these descriptions in its ``apps_dir``."""
    if os.geteuid() != 0:
        pytest.skip("a node that serves several accounts needs root")
    directory = place / "apps"
    directory.mkdir()
    started = []

    def start(*apps, **settings):
        for app in apps:
            text = app if isinstance(app, str) else json.dumps({"icon": "app"} | app)
            name = "broken" if isinstance(app, str) else app["name"]
            (directory / f"{name}.json").write_text(text)
        node = Node(place, bare_environments | {"apps_dir": str(directory)} | settings)
        started.append(running(node))
        return started[-1].__enter__()

    yield start
    for context in started:
        context.__exit__(None, None, None)


def files_by_port(**changes):
    """An app that knows a port only, and no prefix."""
    python = "%(environment)s/bin/python"
    command = [python, "-m", "http.server", "--bind", "127.0.0.1", "%(port)s"]
    return {"name": "files", "title": "Files", "command": command, "prefix": "strip"} | changes


def port_of(node, app_id):
    return int((node.directory(app_id) / "port").read_text().split()[0])


def install(cache, node, owner, package):
    """Put a package into the project's environment; skip where it cannot be had."""
    python = node.project(owner) / "envs/default/bin/python"
    done = subprocess.run(
        [find_uv(), "pip", "install", "--python", python, package],
        env=os.environ | {"UV_CACHE_DIR": str(cache / "uv")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"{package} cannot be installed here: {done.stderr[-300:]}")


# --- apps that come with AEN ---------------------------------------------------------------------


@pytest.mark.parametrize("app", list(FILES))
def test_an_app_that_the_node_opts_into_runs_on_a_socket(describe, people, cache, app):
    node, mira = describe(apps=[app]), people()
    first = node.launch(app, mira)[0]
    status = node.wait(first, "failed")
    assert f"{app} " in status["cause"]
    assert "not installed in this project's environment default" in status["cause"]
    assert f"aen env install default {app}" in status["mend"]

    install(cache, node, mira, app)
    if app == "voila":
        install(cache, node, mira, "ipykernel")
    if FILES[app]:
        name, text = FILES[app]
        status = node.wait(node.launch(app, mira)[0], "failed")
        assert status["cause"] == f"There is no {name} in the project."
        (node.project(mira) / name).write_text(text)
    app_id = node.run(app, mira)
    landing = json.loads((OPTIONAL / f"{app}.json").read_text()).get("landing", "")
    assert node.get(app_id, f"/{mira}/demo/{app}/{landing}")[0] == 200
    assert not listening(node.processes(app_id))


def listening(pids):
    """Return the TCP ports on which one of the processes listens."""
    inodes = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                target = str(fd.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.append(int(fields[1].split(":")[1], 16))
    return found


def test_a_program_that_is_not_there_is_named(describe, people):
    command = ["/usr/bin/env", "no-such-program", "%(socket)s"]
    needs = {"commands": ["no-such-program"]}
    node = describe({"name": "odd", "title": "Odd", "command": command, "needs": needs})
    status = node.wait(node.launch("odd", people())[0], "failed")
    assert status["cause"] == "no-such-program is not installed on this node."
    assert "Odd cannot run without it" in status["mend"]


def test_a_name_that_aen_does_not_know_is_told_and_the_node_goes_on(describe):
    node = describe(apps=["streamlit", "stream"])
    status = node.call("GET", "/v1/health")[1]
    [problem] = [text for text in status["problems"] if "stream " in text]
    assert "does not exist. The option apps can name bokeh, code-server, marimo" in problem
    assert "streamlit" in [offer["name"] for offer in status["apps"]]


# --- an administrator's own ----------------------------------------------------------------------


def test_a_broken_description_takes_its_app_away_and_nothing_else(describe, people):
    node = describe("{not json", files_by_port(name="typo", commnd=[]), files_by_port())
    status = node.call("GET", "/v1/health")[1]
    names = [offer["name"] for offer in status["apps"]]
    assert "files" in names
    assert not {"typo", "broken"} & set(names)
    problems = "\n".join(status["problems"])
    assert "The app broken is not offered: " in problems
    assert "typo.json is not right (Object contains unknown field `commnd`)" in problems
    assert node.run("files", people())


def test_a_description_that_others_can_change_is_not_used(describe, place):
    (place / "apps/files.json").write_text(json.dumps(files_by_port(icon="app")))
    (place / "apps/files.json").chmod(0o666)
    status = describe().call("GET", "/v1/health")[1]
    [problem] = [text for text in status["problems"] if "files.json is not used" in text]
    assert "Others than root can change" in problem
    assert "files" not in [offer["name"] for offer in status["apps"]]


def test_an_app_gets_its_variables_and_its_directory(describe, people):
    shown = {
        "name": "shown", "title": "Shown", "directory": "notes",
        "environment": {"COLOUR": "blue of %(urlPrefix)s", "HOME": "%(projectHome)s"},
        "command": ["%(environment)s/bin/python", "-c", SHOW, "%(socket)s"],
    }  # fmt: skip
    node, mira = describe(files_by_port(), shown), people()
    node.run("files", mira)
    notes = node.project(mira) / "notes"
    notes.mkdir()
    notes.chmod(0o777)
    app_id = node.launch("shown", mira)[0]
    status = node.wait(app_id, "failed")
    assert f"{notes} blue of /{mira}/demo/shown/" in status["log"]


def test_a_status_that_does_not_count_as_ready_is_waited_out(describe, people):
    node = describe(files_by_port(readiness="none-such", ready_status=[200], timeout=3))
    status = node.wait(node.launch("files", people())[0], "failed")
    assert status["cause"] == "Files did not answer within 3 s."


# --- ports ---------------------------------------------------------------------------------------


@pytest.fixture
def ports_can_be_closed():
    if os.geteuid() == 0 and (lack := ports.why_not()):
        pytest.skip(lack)


@pytest.mark.usefixtures("ports_can_be_closed")
def test_a_port_is_reached_through_the_node_and_by_no_other_account(describe, people):
    node, mira, otto = describe(files_by_port()), people(), people(make=True)
    app_id = node.run("files", mira)
    assert b"README.md" in node.get(app_id, "/")[1]
    port = port_of(node, app_id)
    assert port in listening(node.processes(app_id))
    code, said = as_user(otto, PYTHON, "-c", CONNECT, port)
    assert code == 1
    assert "Connection refused" in said
    assert as_user(mira, PYTHON, "-c", CONNECT, port)[0] == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


@pytest.mark.usefixtures("ports_can_be_closed")
def test_somebody_else_at_the_port_of_an_app_is_not_taken_for_it(describe, people, interpreter):
    node, mira, otto = describe(files_by_port()), people(), people(make=True)
    app_id = node.run("files", mira)
    port = port_of(node, app_id)
    squat = ("import socket, sys; s = socket.create_server(('127.0.0.2', int(sys.argv[1])));"
             "print('ready', flush=True); s.accept()")  # fmt: skip
    squatter = subprocess.Popen(
        [interpreter, "-c", squat, str(port)],
        stdout=subprocess.PIPE, text=True, user=pwd.getpwnam(otto).pw_uid, cwd="/",
    )  # fmt: skip
    try:
        assert squatter.stdout.readline() == "ready\n"
        said = as_user(mira, PYTHON, "-c", CONNECT.replace("0.1", "0.2"), port)[1]
        assert "timed out" in said
    finally:
        squatter.kill()
        squatter.wait()


@pytest.mark.usefixtures("ports_can_be_closed")
def test_a_port_is_closed_until_its_app_has_ended(describe, people):
    node, mira, otto = describe(files_by_port()), people(), people(make=True)
    app_id = node.run("files", mira)
    port = port_of(node, app_id)
    node.kill()
    assert as_user(otto, PYTHON, "-c", CONNECT, port)[0] == 1
    table = next(name for name in tables() if str(port) in nft("list", "table", "inet", name))
    nft("delete", "table", "inet", table)
    node.start()
    assert as_user(otto, PYTHON, "-c", CONNECT, port)[0] == 1
    nft("delete", "table", "inet", table)
    until(lambda: table in tables(), "the agent makes the table again")
    node.stop(app_id)
    until(lambda: table not in tables(), "the rule is gone")
    with socket.create_server(("127.0.0.1", port)):
        assert as_user(otto, PYTHON, "-c", CONNECT, port)[0] == 0


def nft(*arguments):
    return subprocess.run(["nft", *arguments], capture_output=True, text=True, check=True).stdout


def tables():
    return [line.split()[2] for line in nft("list", "tables").splitlines() if "aen_" in line]


@pytest.mark.usefixtures("ports_can_be_closed")
def test_an_app_with_a_port_that_ends_says_why(describe, people):
    node = describe(files_by_port(command=["%(environment)s/bin/python", "-m", "none", "%(port)s"]))
    status = node.wait(node.launch("files", people())[0], "failed")
    assert "No module named none" in status["cause"]
    assert "exit code 1" in status["cause"]


# --- the manual ----------------------------------------------------------------------------------


def test_the_manuals_own_app_runs_as_it_stands_there(describe, people, cache):
    text = (CHECKOUT / "docs/admin/apps.md").read_text()
    [described] = re.findall(r"```json\n( +\{\n.*?\n +\})\n +```", text, re.DOTALL)
    node, mira = describe(json.loads(described)), people()
    status = node.wait(node.launch("datasette", mira)[0], "failed")
    assert "aen env install default datasette" in status["mend"]
    install(cache, node, mira, "datasette")
    app_id = node.run("datasette", mira)
    code, page = node.get(app_id, f"/{mira}/demo/datasette/")
    assert code == 200
    assert f"/{mira}/demo/datasette/tables".encode() in page
