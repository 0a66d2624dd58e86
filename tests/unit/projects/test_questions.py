"""Asking the node what somebody may do with a path."""

import pytest
from django.http import Http404

from accounts import actions as accounts
from accounts.errors import Conflict, Forbidden, Invalid, NoAnswer, Unavailable
from compute_agent.protocol import Explain, Explanation, Look
from datacenters.models import Node
from gateway.protocol import Undelivered
from projects import actions, jobs, questions
from projects.models import AccessQuestion
from projects.specs import spec


@pytest.fixture
def waiting(answering, project, cast):
    """A question that was sent and waits."""
    answering.silent = True
    row = AccessQuestion.objects.create(
        project=project, node=answering.center.node, user=cast.mira, path="x", asked_by=cast.mira
    )
    answering.look()
    return row


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 0.02)


def test_the_node_is_asked_about_the_person_and_the_project_as_it_is_now(answering, project, cast):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    answer = questions.ask(project, "data/raw/", username="edda", by=cast.mira)
    (command,) = answering.asked
    assert command == Explain(command.question_id, spec(project), "edda", "data/raw")
    assert (answer.said.access, answer.said.cause) == ("r-x", "So it is.")
    assert (answer.user, answer.role, answer.path) == (cast.edda, "editor", "data/raw")


def test_a_question_leaves_no_row(answering, project, cast):
    questions.ask(project, "", by=cast.vera)
    assert not AccessQuestion.objects.exists()


@pytest.mark.parametrize("path", ["", ".", "./", "./."])
def test_the_projects_folder_itself_may_be_asked_about(answering, project, cast, path):
    assert questions.ask(project, path, by=cast.vera).path == ""
    assert answering.asked[0].path == ""


def test_a_question_is_sent_once(answering, project, cast, waiting):
    answering.look()
    assert len(answering.asked) == 1


def test_what_is_set_nearest_to_the_path_comes_with_the_answer(answering, project, cast):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    actions.set_override(project, "edda", "data/raw", "---", by=cast.mira)
    actions.set_override(project, "vera", "data/raw/a", "rwx", by=cast.mira)
    for path, rights in [("data", "r-x"), ("data/raw/a", "---"), ("data/rawest", "r-x")]:
        assert questions.ask(project, path, username="edda", by=cast.mira).override.access == rights
    assert questions.ask(project, "notes", username="edda", by=cast.mira).override is None


def test_of_somebody_locked_out_what_counts_on_the_node_is_told(answering, project, cast):
    for name in ("otto", "edda"):
        actions.set_override(project, name, "data", "r-x", by=cast.mira)
        accounts.lock_user(getattr(cast, name), by=cast.ada)
    outside = questions.ask(project, "data", username="otto", by=cast.mira)
    assert (outside.role, outside.override) == (None, None)
    member = questions.ask(project, "data", username="edda", by=cast.mira)
    assert (member.role, member.override.access) == ("editor", "r-x")


# --- who may ask ---------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["edda", "vera"])
def test_members_ask_about_themselves_only(answering, project, cast, person):
    by = getattr(cast, person)
    assert questions.ask(project, "x", by=by).user == by
    assert questions.ask(project, "x", username=person, by=by).user == by
    for other in ("mira", "nobody"):
        with pytest.raises(Forbidden):
            questions.ask(project, "x", username=other, by=by)


def test_outsiders_may_not_ask_even_about_a_public_project(answering, project, cast):
    with pytest.raises(Http404):
        questions.ask(project, "x", by=cast.otto)
    actions.update_project(project, by=cast.mira, visibility="public")
    with pytest.raises(Forbidden):
        questions.ask(project, "x", by=cast.otto)
    assert answering.asked == []


def test_managers_may_ask_about_people_outside_the_team(answering, project, cast):
    assert questions.ask(project, "x", username="otto", by=cast.max).role is None


def test_an_unknown_person_is_bad_input(answering, project, cast):
    with pytest.raises(Invalid) as refused:
        questions.ask(project, "x", username="nobody", by=cast.max)
    assert refused.value.field == "user"


def test_a_bad_path_is_refused_without_asking(answering, project, cast):
    with pytest.raises(Invalid):
        questions.ask(project, "../other", by=cast.mira)
    assert answering.asked == []


CLOSED = (Look("", "user:edda:", "rwx", "rwx"), Look("secret", "user:edda:", "---", "---"))
THERE = {
    "kind": "file", "access": "---", "looks": (*CLOSED, Look("secret/x", "user:edda:", "r--", "r--")),
    "cause": "x is there.", "mend": "Ask for x.",
}  # fmt: skip
NOT_THERE = {"kind": "missing", "access": "---", "looks": CLOSED, "cause": "There is no x."}


def test_whether_something_lies_behind_a_closed_folder_is_told_to_managers_only(
    answering, project, cast
):
    heard = []
    for answering.says in (THERE, NOT_THERE):
        own = questions.ask(project, "secret/x", by=cast.edda).said
        heard.append((own.kind, own.access, own.looks, own.cause, own.mend))
        others = questions.ask(project, "secret/x", username="edda", by=cast.max).said
        assert others.kind == answering.says["kind"]
    assert heard[0] == heard[1]
    assert heard[0][:3] == ("other", "---", CLOSED)
    assert heard[0][3] == "The folder secret can’t be entered, so what is in it can’t be told."


def test_a_closed_folder_itself_may_be_asked_about(answering, project, cast):
    answering.says = {"kind": "directory", "access": "---", "looks": CLOSED, "cause": "By hand."}
    own = questions.ask(project, "secret", by=cast.edda).said
    assert (own.kind, own.cause) == ("directory", "By hand.")


def test_nobody_asks_without_end_at_once(answering, project, cast, monkeypatch):
    node = answering.center.node
    for _ in range(questions.AT_ONCE):
        AccessQuestion.objects.create(
            project=project, node=node, user=cast.mira, asked_by=cast.edda
        )
    with pytest.raises(Conflict, match="wait"):
        questions.ask(project, "x", by=cast.edda)
    assert questions.ask(project, "x", by=cast.mira)


# --- who may answer ------------------------------------------------------------------------------


def answer_to(row, **fields):
    return Explanation(row.pk.hex, **({"kind": "file", "access": "rwx"} | fields))


def kept(row):
    row.refresh_from_db()
    return row.answer


def test_a_node_answers_only_what_it_was_asked(waiting, center):
    other = Node.objects.create(name="node-2", data_center=center.row, address="unix:/x")
    questions.take(other, answer_to(waiting))
    assert kept(waiting) is None


def test_a_question_that_was_not_sent_cannot_be_answered(answering, project, cast, center):
    row = AccessQuestion.objects.create(project=project, node=center.node, user=cast.mira)
    questions.take(center.node, answer_to(row))
    assert kept(row) is None


def test_the_first_answer_counts(waiting, center):
    questions.take(center.node, answer_to(waiting, access="---"))
    questions.take(center.node, answer_to(waiting, access="rwx"))
    assert kept(waiting)["access"] == "---"


@pytest.mark.parametrize("number", ["", "f" * 32, "F" * 32, "x" * 32, "0" * 31, "\u0663" * 32])
def test_an_answer_to_no_question_is_dropped(waiting, center, number):
    questions.take(center.node, Explanation(number, "file", "rwx"))
    assert kept(waiting) is None


def test_an_answer_without_measure_is_cut_and_made_safe_to_look_at(waiting, center):
    looks = tuple(Look("p" * 9000, "e\x1b[31m" * 900, "rwx", "rwx") for _ in range(999))
    questions.take(center.node, answer_to(waiting, looks=looks, cause="\x1b[31m" + "c" * 10**6))
    answer = kept(waiting)
    assert len(answer["looks"]) == questions.LOOKS
    assert len(answer["looks"][0]["entry"]) <= 200 and "\x1b" not in answer["looks"][0]["entry"]
    assert answer["cause"] == "c" * questions.WORDS


# --- when nobody answers -------------------------------------------------------------------------


def test_a_project_that_was_never_started_says_so_without_asking(project, cast):
    with pytest.raises(Conflict, match="never started"):
        questions.ask(project, "x", by=cast.mira)


def test_a_node_that_is_away_is_named_with_its_cause_without_asking(answering, project, cast):
    Node.objects.update(up=False, cause="Connection refused.")
    project.refresh_from_db()
    with pytest.raises(Unavailable, match=r"node-1 can’t be reached. Connection refused."):
        questions.ask(project, "x", by=cast.mira)
    assert not AccessQuestion.objects.exists()


def test_a_node_that_says_nothing_is_named_after_a_while(answering, project, cast, hurried):
    answering.silent = True
    with pytest.raises(NoAnswer, match="node-1 did not answer"):
        questions.ask(project, "x", by=cast.mira)
    assert not AccessQuestion.objects.exists()


def test_a_gateway_that_fetches_nothing_is_named(answering, project, cast, hurried, monkeypatch):
    monkeypatch.setattr(answering, "look", lambda seconds=0: None)
    with pytest.raises(NoAnswer, match="gateway of north"):
        questions.ask(project, "x", by=cast.mira)


def test_a_node_that_goes_away_meanwhile_is_named(answering, project, cast, hurried, monkeypatch):
    goes = {"up": False, "cause": "It was switched off."}
    monkeypatch.setattr(answering, "look", lambda seconds=0: Node.objects.update(**goes))
    with pytest.raises(Unavailable, match="switched off"):
        questions.ask(project, "x", by=cast.mira)


@pytest.mark.parametrize("final", [True, False])
def test_a_question_that_does_not_arrive_is_told_at_once(
    answering, project, cast, monkeypatch, final
):
    def lose(seconds=0):
        for node, number, _ in questions.due(answering.center.row.pk):
            questions.undelivered(node, Undelivered(node.pk.hex, number, "No such command.", final))

    monkeypatch.setattr(answering, "look", lose)
    with pytest.raises(Unavailable, match=r"did not reach node-1: No such command\."):
        questions.ask(project, "x", by=cast.mira)


def test_a_project_that_is_deleted_meanwhile_is_not_there(answering, project, cast, monkeypatch):
    monkeypatch.setattr(answering, "look", lambda s=0: AccessQuestion.objects.all().delete())
    with pytest.raises(Http404):
        questions.ask(project, "x", by=cast.mira)


def test_questions_that_somebody_left_behind_are_cleared_away(waiting):
    jobs.prune()
    assert AccessQuestion.objects.exists()
    AccessQuestion.objects.update(asked_at=waiting.asked_at - jobs.KEEP_QUESTIONS)
    jobs.prune()
    assert not AccessQuestion.objects.exists()


def test_a_question_about_somebody_who_is_removed_goes_with_them(waiting, cast):
    AccessQuestion.objects.update(user=cast.otto)
    accounts.delete_user(cast.otto, by=None)
    assert not AccessQuestion.objects.exists()
