"""Questions to a real agent: asked as commands, answered once on the event stream."""

import json
import os
import threading
import uuid

import pytest
from node_client import as_user, spec, until

pytestmark = pytest.mark.host


class Listener:
    """Reads the event stream in a thread of its own from before a question is asked."""

    def __init__(self, node):
        self.answers = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(node,), daemon=True)
        self._thread.start()
        assert self._ready.wait(20), "the event stream begins"

    def _read(self, node):
        for report in node.reports():
            if report["type"] == "snapshot":
                self._ready.set()
            if report["type"] == "explanation":
                self.answers.append(report)

    def answer(self, question_id):
        def found():
            return [answer for answer in self.answers if answer["question_id"] == question_id]

        return until(found, "the answer", 20)[0]


def ask(node, owner, account, path="", members=()):
    question_id = uuid.uuid4().hex
    status, body = node.command(
        type="explain", question_id=question_id, project=spec(owner, members=members),
        account=account, path=path,
    )  # fmt: skip
    assert status == 202, body
    return question_id


@pytest.fixture
def shared(small_node, people):
    """A started project of Mira's with Edda in its team: (node, mira, edda, members)."""
    mira, edda = people(), people()
    members = [{"account": edda, "access": "rwx"}]
    app_id = small_node.run("web", mira, members=members)
    yield small_node, mira, edda, members
    small_node.stop(app_id)


def test_a_question_is_answered_once_to_each_who_listens(shared):
    node, mira, edda, members = shared
    one, other = Listener(node), Listener(node)
    question = ask(node, mira, edda, "README.md", members)
    expected = ("file", "rw-", f"{edda} is in the team and may read and write.", "")
    for listener in (one, other):
        answer = listener.answer(question)
        assert (answer["kind"], answer["access"], answer["cause"], answer["mend"]) == expected
        assert [look["path"] for look in answer["looks"]] == ["", "README.md"]
    later = ask(node, mira, edda, "", members)
    one.answer(later)
    assert [answer["question_id"] for answer in one.answers] == [question, later]


def test_pipes_and_large_folders_keep_nobody_waiting(shared):
    node, mira, edda, members = shared
    place = node.project(mira) / "public"
    assert as_user(mira, "mkfifo", place / "pipe")[0] == 0
    many = place / "many"
    many.mkdir()
    for number in range(20_000):
        os.mknod(many / str(number))
    listener = Listener(node)
    questions = [ask(node, mira, edda, path, members)
                 for path in ("public/pipe", "public/many", "public/many/19999")]  # fmt: skip
    assert [listener.answer(question)["kind"] for question in questions] == [
        "other", "directory", "file",
    ]  # fmt: skip


def test_an_account_that_is_not_there_is_not_made_for_a_question(shared, people):
    node, mira, _, _ = shared
    nobody = people()
    listener = Listener(node)
    answer = listener.answer(ask(node, mira, nobody, "README.md"))
    assert (answer["kind"], answer["access"]) == ("missing", "---")
    assert answer["cause"] == f"{nobody} has no account on this node yet."
    assert as_user(nobody, "true")[0] != 0


def test_a_project_that_never_started_is_missing(small_node, people):
    mira = people(make=True)
    answer = Listener(small_node).answer(ask(small_node, mira, mira))
    assert answer["cause"] == "The project has no directory on this node yet."


def test_a_path_out_of_the_project_is_no_question(small_node):
    for path in ("../x", "/etc", "a//b", ".", "a/..", "a\0b", "x" * 5000):
        status, body = small_node.command(
            type="explain", question_id="0" * 32, project=spec("mira"), account="mira", path=path
        )
        assert (status, body["code"]) == (422, "bad_command"), path


def test_a_name_that_is_no_text_is_no_question_or_is_missing(shared):
    node, mira, edda, _ = shared
    listener = Listener(node)
    question = {"type": "explain", "question_id": uuid.uuid4().hex, "project": spec(mira),
                "account": edda, "path": "\ud800"}  # fmt: skip
    status, _ = node.call("POST", "/v1/commands", json.loads(json.dumps(question)))
    if status == 202:
        assert listener.answer(question["question_id"])["kind"] == "missing"
    else:
        assert status == 422
    assert listener.answer(ask(node, mira, edda, "x" * 255))["kind"] == "missing"
