"""``aen_check --project``: what an administrator is told of one project."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from compute_agent.protocol import Look
from datacenters import outbox
from datacenters.models import Node, NodeCommand
from projects import actions, questions

FINE = {"kind": "directory", "access": "rwx"}
MENDED = {
    "kind": "file", "access": "r--", "looks": (Look("x", "user:edda:", "rw-", "r--"),),
    "cause": "The mask cuts it.", "mend": "Start an app.",
}  # fmt: skip


def check(*args, fails=False):
    out = StringIO()
    try:
        call_command("aen_check", "--project", "mira/forecast", *args, stdout=out)
    except SystemExit as ended:
        assert (ended.code, fails) == (1, True)
    else:
        assert not fails
    return out.getvalue()


def test_a_project_in_order_is_told_with_team_and_what_is_set(answering, project, cast, center):
    actions.set_override(project, "edda", "data/raw", "r-x", by=cast.max)
    list(outbox.due(center.row.pk))
    words = check("--user", "edda", "--path", "data/raw")
    for line in (
        "Its files are on node-1, which is up.",
        "  rwx  max (max), manager",
        "  r-x  vera (vera), viewer",
        "  r-x  edda on data/raw, by max, ",
        "edda can read and enter data/raw, but not write.",
        "(decides)",
        "Nothing is wrong.",
    ):
        assert line in words


def test_without_a_person_and_path_it_is_about_the_owner_and_the_projects_folder(answering):
    answering.says = FINE
    check()
    (asked,) = answering.asked
    assert (asked.account, asked.path) == ("mira", "")


def test_what_the_node_would_have_mended_is_a_failure(answering):
    answering.says = MENDED
    words = check("--user", "edda", "--path", "x", fails=True)
    assert "Wrong: The mask cuts it.\n    Start an app." in words
    assert "user:edda:rw-, cut to r--" in words


@pytest.mark.parametrize(
    ("user", "path", "kind", "rights", "off"),
    [
        ("edda", "x", "file", "rw-", False),
        ("edda", "x", "directory", "rw-", True),
        ("edda", "data", "directory", "r-x", False),  # as it was set
        ("edda", "data/x", "file", "rw-", True),  # more than was set
        ("vera", "x", "file", "r--", False),
        ("vera", "x", "file", "rw-", True),
        ("mira", "x", "directory", "rwx", False),
        ("otto", "x", "file", "---", False),
        ("otto", "x", "file", "r--", True),
        ("otto", "public/x", "file", "r--", False),
        ("edda", "x", "missing", "---", False),
        ("edda", "x", "other", "---", False),
    ],
)
def test_wrong_is_what_differs_from_role_and_setting_by_hand(
    answering, project, cast, center, user, path, kind, rights, off
):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    list(outbox.due(center.row.pk))
    answering.says = {"kind": kind, "access": rights, "cause": "Why.", "mend": "How."}
    words = check("--user", user, "--path", path, fails=off)
    assert ("Wrong: Why.\n    How." in words) is off


def test_a_node_that_is_away_is_a_failure_and_is_not_asked(answering):
    Node.objects.update(up=False, cause="Connection refused.")
    words = check(fails=True)
    assert words.count("Connection refused.") == 1
    assert answering.asked == []


def test_a_node_that_says_nothing_is_a_failure(answering, monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 0.02)
    answering.silent = True
    assert "node-1 did not answer" in check(fails=True)


def test_a_change_that_waits_is_a_failure_until_it_was_handed_over(
    answering, project, cast, center
):
    answering.says = FINE
    actions.set_role(project, "otto", "viewer", by=cast.mira)
    assert "has not been handed to node-1 yet" in check(fails=True)
    list(outbox.due(center.row.pk))
    assert "handed over" in check()
    NodeCommand.objects.all().delete()
    assert "handed over" in check()


def test_a_project_that_was_never_started_is_no_failure(project):
    assert "never started" in check()


def test_all_of_it_as_json(answering, project, cast, center):
    actions.set_override(project, "otto", "data", "---", by=cast.mira)
    list(outbox.due(center.row.pk))
    answering.says = {"kind": "directory", "access": "---"}
    found = json.loads(check("--json", "--user", "otto", "--path", "data/"))
    assert [row["role"] for row in found["team"]] == ["owner", "manager", "editor", "viewer"]
    assert found["overrides"][0]["user"] == "otto"
    assert found["handed_over_at"] > found["changed_at"]
    assert found["explanation"]["access"] == "---"
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--project", "mira/nothing"), "no project"),
        (("--project", "forecast"), "OWNER/NAME"),
        (("--project", "mira/forecast", "--user", "nobody"), "no user"),
        (("--project", "mira/forecast", "--path", "../x"), "“..”"),
        (("--user", "mira"), "--project"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_a_failure(answering, args, words):
    with pytest.raises(CommandError, match=words) as refused:
        call_command("aen_check", *args)
    assert "\n" not in str(refused.value)


@pytest.mark.row(15)
def test_no_file_name_reaches_the_terminal_with_its_escapes(answering, project, cast, center):
    odd = "a\x1b[2Jb\nWrong: c\u202ed"
    actions.set_override(project, "edda", odd, "r-x", by=cast.mira)
    list(outbox.due(center.row.pk))
    answering.says = {
        "kind": "file",
        "access": "r-x",
        "looks": (Look(odd, "user:edda:", "r-x", "r-x"),),
    }
    words = check("--user", "edda", "--path", odd)
    assert "a\\x1b[2Jb\\nWrong: c\\u202ed" in words
    assert not {"\x1b", "\u202e"} & set(words) and "\nWrong" not in words
