"""REST: a project's environments, and changes of them."""

import pytest

from accounts.models import AuditEntry
from compute_agent.protocol import (
    AppStatus,
    EnvironmentChange,
    EnvironmentInfo,
    Launch,
    Snapshot,
    Stop,
)
from projects import actions, questions, reconciler, reports
from projects.models import AppInstance, Project

HERE = "projects/mira/forecast/environments"
CHANGES = "projects/mira/forecast/environment-changes"
PANDAS = {"packages": ["pandas"]}


def reported(row, state, revision=1, **more):
    """Take a report of the row's node on it."""
    reports.take(row.node, AppStatus(row.pk.hex, revision, state, **more))
    row.refresh_from_db()


def test_the_node_says_what_there_is(call, answering, cast):
    status, body = call(cast.vera, "get", HERE)
    assert status == 200
    assert body == [
        {"name": "default", "default": True, "maker": "uv", "python": "3.11", "r": "",
         "packages": 2, "size": 400_000_000, "own": 9_000_000}
    ]  # fmt: skip
    status, body = call(cast.vera, "get", f"{HERE}/default")
    assert [one["name"] for one in body["installed"]] == ["numpy", "pandas"]
    assert answering.asked[-1].name == "default"
    assert call(cast.vera, "get", f"{HERE}/other")[0] == 404
    status, body = call(cast.vera, "get", f"{HERE}/default/export")
    assert body == {"text": "numpy==2.1.0\npandas==2.2.0\n"}
    assert answering.asked[-1].export


def test_what_a_node_says_is_cut_to_what_can_be_true(call, answering, cast):
    answering.finds["environments"] = (
        EnvironmentInfo("../etc", "uv"),
        EnvironmentInfo("a", "u" * 1000, "\x1b[31m3", "", -1, 2**80),
    )
    [one] = call(cast.mira, "get", HERE)[1]
    assert (one["name"], len(one["maker"]), one["python"]) == ("a", 128, "3")
    assert (one["packages"], one["size"]) == (0, 2**63 - 1)


def test_a_cause_of_the_nodes_is_told(call, answering, cast):
    answering.finds = {"cause": "The disk is full.", "mend": "Remove files."}
    status, body = call(cast.mira, "get", f"{HERE}/x")
    assert (status, body["detail"]) == (409, "The disk is full. Remove files.")


def test_an_environment_that_is_not_there_is_not_found(call, answering, cast):
    why = {"cause": "There is no environment x here.", "mend": "The list shows all."}
    answering.finds = why | {"missing": True}
    for path in (f"{HERE}/x", f"{HERE}/x/export"):
        status, body = call(cast.mira, "get", path)
        assert (status, body["code"]) == (404, "not_found")
        assert body["detail"] == "There is no environment x here. The list shows all."


@pytest.mark.parametrize("name", ["otto", "vera"])
def test_who_may_not_change_changes_nothing(call, answering, cast, name):
    seen = 404 if name == "otto" else 403
    person = getattr(cast, name)
    for method, path, data in (
        ("post", HERE, {"name": "x"}),
        ("post", f"{HERE}/default/install", PANDAS),
        ("post", f"{HERE}/default/remove", PANDAS),
        ("delete", f"{HERE}/default", None),
    ):
        assert call(person, method, path, data)[0] == seen, path
    assert not AppInstance.objects.exists()


def test_outsiders_see_no_environments_of_a_public_project(call, answering, project, cast):
    Project.objects.update(visibility="public")
    assert call(cast.otto, "get", HERE)[0] == 403
    assert call(cast.otto, "get", CHANGES)[0] == 403


def test_a_change_is_sent_as_a_launch_and_followed_to_its_end(call, answering, cast):
    status, body = call(cast.edda, "post", f"{HERE}/default/install", PANDAS)
    assert (status, body["state"], body["result"]) == (202, "requested", None)
    [(_, _, launch)] = reconciler.due(answering.center.row.pk)
    assert isinstance(launch, Launch)
    assert (launch.app, launch.account) == ("environments", "edda")
    assert launch.change == EnvironmentChange("install", "default", packages=("pandas",))
    row = AppInstance.objects.get()
    reported(row, "running", log=("Resolved 1 package",))
    address = body["url"].removeprefix("/api/v1/")
    assert call(cast.vera, "get", address)[1]["log"] == ["Resolved 1 package"]
    reported(row, "stopped", 2, exit_code=0)
    body = call(cast.vera, "get", address)[1]
    assert (body["result"], body["user"], body["packages"]) == ("done", "edda", ["pandas"])
    assert [one["id"] for one in call(cast.vera, "get", CHANGES)[1]] == [str(row.pk)]
    told = [(entry.verb, entry.actor_name) for entry in AuditEntry.objects.order_by("at")
            if entry.verb.startswith("environment.")]  # fmt: skip
    assert told == [("environment.install", "edda"), ("environment.done", "edda")]


def test_one_change_at_a_time(call, answering, cast):
    call(cast.edda, "post", f"{HERE}/default/install", PANDAS)
    status, body = call(cast.mira, "delete", f"{HERE}/default")
    assert (status, body["code"]) == (409, "conflict")
    assert "edda is changing the environment default" in body["detail"]
    reported(AppInstance.objects.get(), "failed", cause="No such package.")
    assert call(cast.mira, "delete", f"{HERE}/default")[0] == 202


def test_a_change_is_cancelled_by_who_asked_and_who_may_stop_others(call, answering, cast):
    def begun():
        address = call(cast.edda, "post", HERE, {"name": "x"})[1]["url"].removeprefix("/api/v1/")
        return address, AppInstance.objects.get(state="requested")

    address, row = begun()
    assert call(cast.vera, "post", f"{address}/cancel")[0] == 403
    status, body = call(cast.edda, "post", f"{address}/cancel")
    assert (status, body["state"]) == (202, "stopping")
    assert [command for _, _, command in reconciler.due(answering.center.row.pk)] == [
        Stop(row.pk.hex)
    ]
    row.refresh_from_db()
    reported(row, "stopped", 3, exit_code=130)
    assert call(cast.edda, "get", address)[1]["result"] == "cancelled"
    address, row = begun()
    assert call(cast.max, "post", f"{address}/cancel")[1]["state"] == "stopping"
    assert "max" in call(cast.edda, "get", address)[1]["cause"]
    reported(row, "stopped", 3, exit_code=0)  # it came too late
    assert call(cast.edda, "get", address)[1]["result"] == "done"


def test_a_change_that_the_node_lost_was_not_made(call, answering, cast):
    """Its machine was restarted in the middle, and it does not know the change any more."""
    address = call(cast.edda, "post", HERE, {"name": "x"})[1]["url"].removeprefix("/api/v1/")
    row = AppInstance.objects.get()
    reported(row, "running")
    reports.take(row.node, Snapshot(()))
    body = call(cast.edda, "get", address)[1]
    assert (body["result"], body["cause"]) == ("cancelled", reports.LOST)


def test_who_leaves_the_team_leaves_no_change_behind(call, answering, project, cast):
    call(cast.edda, "post", f"{HERE}/default/install", PANDAS)
    actions.remove_member(project, "edda", by=cast.mira)
    assert AppInstance.objects.get().state == "stopping"


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"name": "../x"}, "name"),
        ({"name": "x", "packages": ["--index-url=x"]}, "packages"),
        ({"name": "x", "packages": ["a\nb"]}, "packages"),
        ({"name": "x", "packages": ["https://me:secret@example.org/x.whl"]}, "packages"),
        ({"name": "x", "packages": ["git+https://token@example.org/x"]}, "packages"),
        ({"name": "x", "packages": ["x"] * 101}, "packages"),
        ({"name": "x", "file": "--index-url https://me:secret@example.org/simple\n"}, "file"),
        ({"name": "x", "python": "3; true"}, "python"),
        ({"name": "x", "file": "x" * 200_001}, "file"),
        ({"name": "x", "copy_of": "a/b"}, "source"),
    ],
)
def test_bad_input_names_its_field(call, answering, cast, data, field):
    status, body = call(cast.mira, "post", HERE, data)
    assert (status, body["field"]) == (422, field), body
    assert not AppInstance.objects.exists()


def test_all_that_one_may_ask_reaches_the_node(call, answering, cast):
    for path, data, change in (
        ("", {"name": "a", "packages": ["x >=1"], "maker": "conda", "python": "3.12"},
         EnvironmentChange("create", "a", packages=("x >=1",), maker="conda", python="3.12")),
        ("/a/install", {"packages": ["x @ git+ssh://git@example.org/x"]},
         EnvironmentChange("install", "a", packages=("x @ git+ssh://git@example.org/x",))),
        ("", {"name": "b", "file": "x==1\n"}, EnvironmentChange("create", "b", file="x==1\n")),
        ("", {"name": "c", "copy_of": "a"}, EnvironmentChange("clone", "c", source="a")),
        ("/a/remove", {"packages": ["x"], "pip": True},
         EnvironmentChange("remove", "a", packages=("x",), pip=True)),
    ):  # fmt: skip
        assert call(cast.mira, "post", HERE + path, data)[0] == 202
        [(_, _, launch)] = reconciler.due(answering.center.row.pk)
        assert launch.change == change
        reported(AppInstance.objects.get(state="requested"), "stopped", exit_code=0)
        list(reconciler.due(answering.center.row.pk))


def test_an_answer_to_another_kind_of_question_is_none(answering, project, cast, monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 0.02)
    monkeypatch.setattr(answering, "answer", answering.explanation)
    from accounts.errors import NoAnswer
    from projects import environments

    with pytest.raises(NoAnswer):
        environments.find(project, by=cast.mira)
