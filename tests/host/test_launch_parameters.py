"""Whatever stands in a launch, no program is led by it: no shell reads it, no variable is set."""

import json
import os
import uuid
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, running, small_apps, spec

pytestmark = [pytest.mark.host, pytest.mark.row(20)]

ODD = (
    "mira\nLD_PRELOAD=/tmp/x.so", "$(touch /tmp/aent-owned)", "`id`", "mira; id", "mira && id",
    "../mira", "mira\0", "-c", "mira\r\nX: y", "%(socket)s", "'; id #", "mira|id",
)  # fmt: skip
LEADING = ("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PYTHONPATH",
           "PYTHONSTARTUP", "IFS", "PS4", "PROMPT_COMMAND")  # fmt: skip


def launch(mira, **changes):
    project = spec(mira) | changes.pop("project", {})
    return {
        "type": "launch", "app_id": uuid.uuid4().hex, "app": "web", "account": mira,
        "url_prefix": f"/{mira}/demo/web/", "project": project,
    } | changes  # fmt: skip


@pytest.mark.parametrize("field", ["app_id", "app", "account", "url_prefix", "environment"])
def test_a_launch_with_an_odd_parameter_is_not_taken(small_node, people, field):
    mira = people()
    for value in ODD:
        assert small_node.command(**launch(mira, **{field: value}))[0] == 422, value
    assert not small_node.root.exists()


@pytest.mark.parametrize("field", ["owner", "name", "owner_account"])
def test_a_project_with_an_odd_name_is_not_taken(small_node, people, field):
    mira = people()
    for value in ODD:
        assert small_node.command(**launch(mira, project={field: value}))[0] == 422, value
    assert not small_node.root.exists()


def test_a_member_with_an_odd_name_is_not_taken(small_node, people):
    mira = people()
    for value in ODD:
        project = {"members": [{"account": value, "access": "rwx"}]}
        assert small_node.command(**launch(mira, project=project))[0] == 422, value


def test_a_field_that_no_launch_has_is_not_taken(small_node, people):
    """Above all not an environment for the app, or a command."""
    mira = people()
    for field in ("environ", "env", "command", "argv", "uid", "cwd", "LD_PRELOAD"):
        assert small_node.command(**launch(mira, **{field: "x"}))[0] == 422, field
        assert small_node.command(**launch(mira, project={field: "x"}))[0] == 422, field


@pytest.fixture
def unled_node(place, bare_environments):
    node = Node(
        place,
        bare_environments | small_apps(place),
        environment=os.environ
        | {"PYTHONPATH": str(CHECKOUT), "BASH_ENV": "/nonexistent", "PS4": "$(id)",
           "LD_LIBRARY_PATH": "/nonexistent", "AEN_TEST_OF_THE_AGENT": "1"},
    )  # fmt: skip
    with running(node):
        yield node


def test_no_variable_of_the_agent_leads_an_app(unled_node, people):
    """An administrator's shell may have set them where the agent was started."""
    app_id = unled_node.run("web", people())
    environment = json.loads(unled_node.get(app_id, "/any")[1])["environment"]
    assert not set(environment) & {*LEADING, "AEN_TEST_OF_THE_AGENT"}
    runner = Path(f"/proc/{unled_node.runner(app_id)}/environ").read_bytes()
    assert runner == b"LANG=C.UTF-8\0"


def test_what_a_person_names_their_things_reaches_no_shell(small_node, people):
    """A folder of the skeleton's or a project's may be called anything; a name is only a name."""
    mira = people()
    app_id = small_node.run("web", mira)
    arguments = json.loads(small_node.get(app_id, "/any")[1])["arguments"]
    assert arguments[1:] == [
        str(small_node.directory(app_id) / "u/s"), f"/{mira}/demo/web/"
    ]  # fmt: skip
    parents = {Path(f"/proc/{pid}/exe").resolve().name for pid in small_node.processes(app_id)}
    assert not parents & {"sh", "bash", "dash"}
