"""A node that somebody without root runs: every app runs as that person."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, as_user, running, small_apps
from test_environment_changes import done, look

from compute_agent.host.reachable import closed_ancestor

pytestmark = pytest.mark.host


@pytest.fixture
def persons_node(place, people, interpreter, tmp_path):
    """A node run by an ordinary account, with environments of its own."""
    packages = next((CHECKOUT / ".venv").glob("lib/python*/site-packages"), None)
    if packages is None or closed_ancestor(packages) or closed_ancestor(CHECKOUT / "compute_agent"):
        pytest.skip("the packages that the agent needs cannot be reached by another account")
    anna = people(make=True)
    settings = small_apps(place) | {
        "state_dir": str(place / "state"),
        "python": interpreter,
        "default_lock": str(place / "empty.txt"),
    }
    Path(settings["default_lock"]).write_text("")
    uv = shutil.which("uv", path=f"{CHECKOUT}/.venv/bin:{os.environ['PATH']}")
    environment = {
        "PATH": f"{Path(uv).parent}:/usr/bin:/bin" if uv else "/usr/bin:/bin",
        "HOME": pwd.getpwnam(anna).pw_dir,
        "PYTHONPATH": f"{CHECKOUT}:{packages}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = ["setpriv", f"--reuid={anna}", f"--regid={anna}", "--init-groups", interpreter]
    node = Node(place, settings, command, environment)
    subprocess.run(["chown", "-R", f"{anna}:{anna}", place], check=True)
    with running(node):
        yield node, anna


def test_every_app_runs_as_the_person_who_runs_the_node(persons_node):
    node, anna = persons_node
    app_id = node.launch("web", "mira", members=[{"account": "edda", "access": "rwx"}])[0]
    status = node.wait(app_id, "running")
    uid = pwd.getpwnam(anna).pw_uid
    assert status["account"] == anna
    assert status["progress"][0]["fact"] == (
        f"{anna}, uid {uid} (this node runs every app as {anna})"
    )
    [pid] = node.processes(app_id)
    assert Path(f"/proc/{pid}").stat().st_uid == uid
    assert node.call("GET", "/v1/health")[1]["mode"] == "single"
    node.stop(app_id)
    assert not node.processes(app_id)


def test_no_account_is_made_for_a_persons_node(persons_node):
    node, _ = persons_node
    node.run("web", "aent-nobody-of-this-name")
    with pytest.raises(KeyError):
        pwd.getpwnam("aent-nobody-of-this-name")


def test_a_persons_projects_are_closed_to_others(persons_node, people):
    node, anna = persons_node
    otto = people(make=True)
    node.run("web", "mira")
    readme = node.project("mira") / "README.md"
    assert as_user(anna, "cat", readme)[0] == 0
    assert as_user(otto, "cat", readme)[0] != 0


def test_shared_files_of_environments_survive_a_second_start(persons_node):
    """The pass must not open to one project what all the others share."""
    node, _ = persons_node
    node.stop(node.run("web", "mira"))
    app_id = node.run("web", "mira")
    steps = {step["step"]: step["fact"] for step in node.status(app_id)["progress"]}
    assert "changed" not in steps["permissions"].replace("unchanged", "")
    assert steps["environment"].endswith("present")
    shared = (node.place / "state/environments").rglob("lib/**/*.py")
    assert not [path for path in shared if path.stat().st_mode & 0o222]


def test_strangers_cannot_speak_to_the_agent(persons_node, people):
    node, _ = persons_node
    otto = people(make=True)
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    assert as_user(otto, "/usr/bin/python3", "-c", connect, node.socket)[0] != 0


def test_environments_are_changed_as_the_person_who_runs_the_node(persons_node):
    node, anna = persons_node
    done(node, "mira", "clone", "second", source="default")
    second = node.project("mira") / "envs/second"
    assert second.stat().st_uid == pwd.getpwnam(anna).pw_uid
    assert [one["name"] for one in look(node, "mira")["environments"]] == ["default", "second"]
    done(node, "mira", "delete", "second")
    assert not second.exists()
