"""REST: what somebody may do with a path, and what is set by hand."""

import pytest

from datacenters.models import Node
from projects import actions, questions
from projects.models import PathOverride

HERE = "projects/mira/forecast/permissions"
SET = {"path": "data/raw", "user": "edda", "access": "r-x"}


def test_one_asks_about_oneself(call, answering, cast):
    status, body = call(cast.edda, "get", f"{HERE}?path=data/raw")
    assert status == 200
    assert (body["user"], body["account"], body["role"], body["path"]) == (
        "edda", "edda", "editor", "data/raw",
    )  # fmt: skip
    assert (body["kind"], body["access"], body["cause"]) == ("directory", "r-x", "So it is.")
    assert body["looks"] == [
        {"path": "", "entry": "user:edda:", "rights": "rwx", "effective": "rwx"}
    ]
    assert (body["mend"], body["override"]) == ("", None)


def test_without_a_path_it_is_about_the_projects_folder(call, answering, cast):
    assert call(cast.edda, "get", HERE)[1]["path"] == ""


def test_managers_ask_about_others_and_see_what_was_set_and_by_whom(call, answering, project, cast):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    body = call(cast.max, "get", f"{HERE}?path=data/raw&user=edda")[1]
    assert body["user"] == "edda"
    assert (body["override"]["path"], body["override"]["set_by"]) == ("data", "mira")


@pytest.mark.parametrize("other", ["mira", "nobody"])
def test_editors_are_told_nothing_about_others(call, answering, cast, other):
    assert call(cast.edda, "get", f"{HERE}?path=x&user={other}")[0] == 403


def test_a_path_out_of_the_project_names_its_field(call, answering, cast):
    status, body = call(cast.mira, "get", f"{HERE}?path=../x")
    assert (status, body["field"]) == (422, "path")


def test_before_the_first_start_it_is_409(call, project, cast):
    status, body = call(cast.mira, "get", f"{HERE}?path=x")
    assert (status, body["code"]) == (409, "conflict")
    assert "never started" in body["detail"]


def test_a_node_that_is_away_is_503_and_one_that_is_silent_504(call, answering, cast, monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 0.02)
    answering.silent = True
    status, body = call(cast.mira, "get", HERE)
    assert (status, body["code"]) == (504, "no_answer")
    assert "node-1" in body["detail"]
    Node.objects.update(up=False, cause="Connection refused.")
    status, body = call(cast.mira, "get", HERE)
    assert (status, body["code"]) == (503, "unavailable")
    assert "Connection refused." in body["detail"]


@pytest.mark.rule(13)
def test_what_is_set_by_hand_is_listed_with_who_set_it(call, project, cast):
    status, body = call(cast.max, "put", f"{HERE}/overrides", SET)
    assert (status, body["set_by"]) == (200, "max")
    listed = call(cast.vera, "get", f"{HERE}/overrides")[1]
    assert listed == [body] and SET.items() <= body.items()


def test_putting_again_changes_it_and_deleting_twice_is_no_error(call, project, cast):
    call(cast.mira, "put", f"{HERE}/overrides", SET)
    call(cast.mira, "put", f"{HERE}/overrides", SET | {"access": "---"})
    assert PathOverride.objects.get().access == "---"
    for _ in range(2):
        gone = call(cast.mira, "delete", f"{HERE}/overrides?path=data/raw&user=edda")
        assert gone == (204, None)
    assert not PathOverride.objects.exists()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"path": "/etc"}, "path"),
        ({"path": ""}, "path"),
        ({"path": None}, "path"),
        ({"user": "nobody"}, "user"),
        ({"user": "mira"}, "user"),
        ({"access": "rw"}, "access"),
        ({"access": 7}, "access"),
    ],
)
def test_bad_input_names_its_field_and_sets_nothing(call, project, cast, data, field):
    status, body = call(cast.mira, "put", f"{HERE}/overrides", SET | data)
    assert (status, body["field"]) == (422, field)
    assert not PathOverride.objects.exists()


@pytest.mark.parametrize("person", ["edda", "vera"])
def test_editors_and_viewers_see_the_list_and_change_nothing(call, project, cast, person):
    by = getattr(cast, person)
    assert call(by, "get", f"{HERE}/overrides")[0] == 200
    assert call(by, "put", f"{HERE}/overrides", SET)[0] == 403
    assert call(by, "delete", f"{HERE}/overrides?path=data/raw&user=edda")[0] == 403


def test_a_visitor_of_a_public_project_sees_nothing_of_it(call, answering, project, cast):
    actions.update_project(project, by=cast.mira, visibility="public")
    assert call(cast.otto, "get", HERE)[0] == 403
    assert call(cast.otto, "get", f"{HERE}/overrides")[0] == 403
