"""Changes of environments that are asked of a real node, as the server asks for them."""

import json
import os
import pwd
import socket
import threading
import uuid

import pytest
from node_client import Node, as_user, running, small_apps, spec, until
from test_environment_tool import make_wheel, tool_settings  # noqa: F401 - a fixture

pytestmark = pytest.mark.host


@pytest.fixture
def node(place, tool_settings):  # noqa: F811
    """A node with a folder of wheels; ``index`` in its configuration leads to nowhere."""
    described = small_apps(place)
    wheels = place / "apps/wheels"  # a place that apps see
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(wheels, version)
    make_wheel(wheels, "1.0", name="ipykernel")
    given = {"UV_FIND_LINKS": str(wheels), "UV_OFFLINE": "1"}
    settings = (
        tool_settings
        | described
        | {"stop_grace": 10.0}
        | {"pass_environment": [*given, "UV_DEFAULT_INDEX"]}
    )
    with socket.create_server(("127.0.0.1", 0)) as index:
        index.settimeout(60)
        given["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        environment = os.environ | {"PYTHONPATH": os.getcwd()} | given
        with running(Node(place, settings, environment=environment)) as node:
            node.index = index
            yield node


def change(node, owner, action, name, *packages, account=None, members=(), **more):
    """Ask for a change; return its id."""
    task = uuid.uuid4().hex
    status, body = node.command(
        type="launch", app_id=task, app="environments", account=account or owner,
        url_prefix=f"/{owner}/demo/environments/", project=spec(owner, members=members),
        change={"action": action, "name": name, "packages": packages} | more,
    )  # fmt: skip
    assert status == 202, body
    return task


def done(node, *asked, **more):
    """Ask for a change and return its last status, which must be that of one that was made."""
    status = node.wait(change(node, *asked, **more), "stopped")
    assert status["exit_code"] == 0, status
    return status


def look(node, owner, account=None, members=(), **more):
    """Return what the node finds in the project's environments."""
    question, found, listening = uuid.uuid4().hex, [], threading.Event()

    def listen():
        for report in node.reports():
            if report["type"] == "snapshot":
                listening.set()
            if report.get("question_id") == question:
                found.append(report)
                return

    threading.Thread(target=listen, daemon=True).start()
    assert listening.wait(20)
    status, body = node.command(
        type="find_environments", question_id=question, account=account or owner,
        project=spec(owner, members=members), **more,
    )  # fmt: skip
    assert status == 202, body
    return until(lambda: found, "the answer", 20)[0]


def envs(node, owner):
    return node.project(owner) / "envs"


def whole(node, owner, name="default"):
    """All files of an environment, told apart."""
    return {str(path): path.lstat().st_ino for path in (envs(node, owner) / name).rglob("*")}


def beside(node, owner):
    return [path.name for path in envs(node, owner).iterdir() if path.name.count(".") > 1]


def test_packages_are_installed_and_removed_by_the_person_and_what_is_there_is_told(node, people):
    mira = people()
    status = done(node, mira, "install", "default", "aenttoy==1.0")
    assert [step["step"] for step in status["progress"]][:4] == [
        "account", "directory", "permissions", "environment",
    ]  # fmt: skip
    assert any("aenttoy==1.0" in line for line in status["log"])
    script = envs(node, mira) / "default/bin/aenttoy"
    assert script.stat().st_uid == pwd.getpwnam(mira).pw_uid
    assert as_user(mira, script) == (0, "1.0\n")
    found = look(node, mira, name="default", export=True)
    [default] = found["environments"]
    assert (default["name"], default["maker"], default["packages"]) == ("default", "uv", 3)
    assert 0 < default["own"] < default["size"]
    assert {"name": "aenttoy", "version": "1.0", "source": "pip"} in found["packages"]
    assert "aenttoy==1.0" in found["export"].splitlines()
    assert found["makers"] == ["uv"]
    done(node, mira, "remove", "default", "aenttoy")
    assert look(node, mira)["environments"][0]["packages"] == 2


def test_environments_are_made_again_from_an_export_copied_and_deleted(node, people):
    mira = people()
    done(node, mira, "create", "one", "aenttoy==1.0")
    text = look(node, mira, name="one", export=True)["export"]
    done(node, mira, "create", "two", file=text)
    done(node, mira, "clone", "three", source="two")
    assert as_user(mira, envs(node, mira) / "three/bin/aenttoy") == (0, "1.0\n")
    for name in ("one", "two"):
        done(node, mira, "delete", name)
    assert [one["name"] for one in look(node, mira)["environments"]] == ["three"]
    assert not (envs(node, mira) / "default").exists()  # nothing here needed one


def test_a_change_that_fails_says_why_and_leaves_all_as_it_was(node, people):
    mira = people()
    done(node, mira, "install", "default", "aenttoy==1.0")
    before = whole(node, mira)
    status = node.wait(change(node, mira, "install", "default", "no-such-package-aent"), "failed")
    assert "no-such-package-aent" in status["cause"]
    assert status["mend"] == "The environments are as they were."
    status = node.wait(change(node, mira, "create", "default"), "failed")
    assert "default is there already" in status["cause"]
    assert whole(node, mira) == before


def hang(node, *asked, **more):
    """Begin a change that waits in the middle for an index that never answers."""
    task = change(node, *asked, **more)
    connection, _ = node.index.accept()
    return task, connection


@pytest.fixture
def online(node):
    """The node's changes ask the index."""
    node.end()
    node._environment = node._environment | {"UV_OFFLINE": "0"}
    return node.start()


def test_a_change_goes_on_without_the_agent_and_cancelling_leaves_all_as_it_was(online, people):
    node, mira = online, people()
    done(node, mira, "clone", "copy", source="default")
    before = whole(node, mira)
    task, connection = hang(node, mira, "install", "default", "slow-package")
    runner = node.runner(task)
    node.kill()
    node.start()
    assert node.status(task)["state"] == "running"
    assert node.runner(task) == runner
    second = node.wait(change(node, mira, "delete", "default"), "failed")
    assert "Somebody is changing an environment" in second["cause"]
    status = node.stop(task)
    connection.close()
    assert status["exit_code"] == 130
    assert not node.processes(task)
    assert whole(node, mira) == before
    assert beside(node, mira) == []


def test_a_change_of_who_leaves_the_team_ends_and_the_next_one_clears_what_is_left(online, people):
    node, mira, edda = online, people(), people()
    members = [{"account": edda, "access": "rwx"}]
    done(node, mira, "clone", "copy", source="default", members=members)
    before = whole(node, mira)
    asked = (node, mira, "install", "default", "slow-package")
    task, connection = hang(*asked, account=edda, members=members)
    # As the server does it: the new team first, then the end of her apps.
    assert node.command(type="secure", project=spec(mira) | {"revision": 1})[0] == 202
    node.stop(task)
    connection.close()
    assert whole(node, mira) == before
    done(node, mira, "delete", "default")
    assert beside(node, mira) == []


def test_nothing_is_shown_of_what_is_closed_to_who_asks(node, people):
    mira, vera = people(), people()
    members = [{"account": vera, "access": "r-x"}]
    done(node, mira, "create", "open", members=members)
    done(node, mira, "clone", "closed", source="open", members=members)
    as_user(mira, "setfacl", "-m", f"u:{vera}:---", envs(node, mira) / "closed")
    seen = look(node, mira, account=vera, members=members)
    assert [one["name"] for one in seen["environments"]] == ["open"]
    seen = look(node, mira, account=vera, members=members, name="closed", export=True)
    assert seen["cause"] == "There is no environment closed here."
    assert seen["missing"] is True
    assert seen["packages"] == [] and seen["export"] == ""
    assert len(look(node, mira, members=members)["environments"]) == 2


def test_what_is_no_change_is_refused(node, people):
    mira = people()
    base = {"type": "launch", "app_id": uuid.uuid4().hex, "account": mira,
            "url_prefix": f"/{mira}/demo/environments/", "project": spec(mira)}  # fmt: skip
    good = {"action": "install", "name": "default", "packages": ["x"]}
    for bad in (
        good | {"packages": ["--index-url=http://elsewhere"]},
        good | {"packages": ["a\nb"]},
        good | {"name": "../x"},
        good | {"action": "run"},
        good | {"python": "3; true"},
        good | {"more": 1},
    ):
        status, body = node.command(**base, app="environments", change=bad)
        assert (status, body["code"]) == (422, "bad_command"), bad
    assert node.command(**base, app="environments")[0] == 409
    assert node.command(**base, app="web", change=good)[0] == 409
    assert json.dumps(node.call("GET", "/v1/health")[1]["apps"]).count("environments") == 0
