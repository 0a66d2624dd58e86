"""Apps for visitors who did not sign in, and what they reach."""

import json
import pwd

import pytest
from node_client import Node, as_user, running, small_apps

pytestmark = pytest.mark.host


@pytest.fixture
def open_node(place, bare_environments, people):
    """A node that serves visitors one app, and another that is for people alone."""
    settings = small_apps(place)
    web = json.loads((place / "apps/web.json").read_text())
    command = ["%(default)s/bin/python", *web["command"][1:]]
    shown = web | {"name": "shown", "anonymous": True, "template": "default", "command": command}
    (place / "apps/shown.json").write_text(json.dumps(shown))
    visitors = people()
    node = Node(place, bare_environments | settings | {"anon_user": visitors})
    with running(node):
        yield node, visitors


def test_an_app_for_visitors_runs_as_their_account(open_node, people):
    node, visitors = open_node
    mira = people()
    app_id = node.run("shown", mira, account=visitors)
    said = json.loads(node.get(app_id, "/any")[1])
    account = pwd.getpwnam(visitors)
    assert (said["uid"], said["groups"]) == (account.pw_uid, [account.pw_gid])
    assert node.status(app_id)["account"] == visitors


def test_visitors_read_what_is_public_and_nothing_else(open_node, people):
    node, visitors = open_node
    mira, edda = people(), people()
    node.run("shown", mira, account=visitors, members=[{"account": edda, "access": "rwx"}])
    project = node.project(mira)
    made = "mkdir -p public/deep notes; echo x | tee public/deep/page notes/plan >/dev/null"
    assert as_user(mira, "sh", "-c", f"cd {project}; {made}") == (0, "")
    node.stop(node.run("shown", mira, account=visitors))
    assert as_user(visitors, "cat", project / "public/deep/page") == (0, "x\n")
    assert as_user(visitors, "ls", project / "public")[0] == 0
    for closed in (project, project / "notes", project.parent, node.root, project / "envs"):
        assert as_user(visitors, "ls", closed)[0] != 0, closed
    for closed in (project / "notes/plan", project / "README.md", node.run_dir / "agent.sock"):
        assert as_user(visitors, "cat", closed)[0] != 0, closed
    write = 'echo mine > "$1"'
    for closed in (project / "public/mine", project / "public/deep/page", project / "mine"):
        assert as_user(visitors, "sh", "-c", write, "sh", closed)[0] != 0, closed
    account = pwd.getpwnam(visitors)
    assert not {path for path in project.rglob("*") if path.lstat().st_uid == account.pw_uid}


def test_other_apps_do_not_run_for_visitors(open_node, people):
    node, visitors = open_node
    app_id = node.launch("web", people(), account=visitors)[0]
    assert node.wait(app_id, "failed")["cause"] == "This app is only for people who signed in."


@pytest.mark.rule(10)
def test_visitors_own_no_project(open_node, people):
    node, visitors = open_node
    app_id = node.launch("shown", visitors, account=people())[0]
    assert "account of visitors" in node.wait(app_id, "failed")["cause"]


def test_visitors_are_in_no_team(open_node, people):
    node, visitors = open_node
    mira = people()
    node.stop(node.run("shown", mira, account=visitors))
    app_id = node.run("web", mira, members=[{"account": visitors, "access": "rwx"}])
    readme = node.project(mira) / "README.md"
    assert as_user(visitors, "cat", readme)[0] != 0
    steps = {step["step"]: step["fact"] for step in node.status(app_id)["progress"]}
    assert f"no rights for {visitors}" in steps["permissions"]
