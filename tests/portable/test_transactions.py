"""All or nothing, also when several do it at once, on each of the three databases."""

import threading

import pytest
from django.db import DatabaseError, IntegrityError, connection
from django.test import RequestFactory

from accounts import actions as accounts
from accounts import audit, jobs, throttle, transactions
from accounts.models import AuditEntry, SignInAttempts, User
from accounts.transactions import AWAY, Contended, after_commit, atomic, retried
from compute_agent.protocol import Stop
from datacenters import outbox
from projects import actions
from projects.actions.locking import lock
from projects.models import Project

pytestmark = pytest.mark.django_db(transaction=True)

on_mongodb = pytest.mark.skipif(
    "connection.vendor != 'mongodb'", reason="others wait for one another"
)


class Stumbles(Exception):
    pass


def at_once(count, work):
    """Run ``work(number)`` in threads released together; return what each gave or raised."""
    results, start = [None] * count, threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            results[number] = work(number)
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_what_stumbles_halfway_has_done_nothing(cast):
    def work():
        with atomic():
            User.objects.filter(pk=cast.otto.pk).update(first_name="Otto")
            audit.record("half", "done", by=cast.ada)
            raise Stumbles

    with pytest.raises(Stumbles):
        work()
    assert not AuditEntry.objects.filter(verb="half").exists()
    cast.otto.refresh_from_db()
    assert cast.otto.first_name == ""


def test_an_inner_block_is_part_of_the_outer_one(cast):
    with pytest.raises(Stumbles), atomic():
        accounts.rename(cast.otto, "Otto", by=cast.ada)
        raise Stumbles
    assert not AuditEntry.objects.filter(verb="account.rename").exists()


def test_what_is_written_in_a_block_is_read_in_it(cast):
    with atomic():
        audit.record("half", "done", by=cast.ada)
        assert AuditEntry.objects.filter(verb="half").exists()


def test_what_waits_for_the_commit_runs_after_it_and_never_after_an_error(cast):
    seen = []
    with atomic():
        with atomic():
            after_commit(lambda: seen.append("first"))
        assert seen == []
    assert seen == ["first"]
    with pytest.raises(Stumbles), atomic():
        after_commit(lambda: seen.append("second"))
        raise Stumbles
    with atomic():
        pass
    assert seen == ["first"]


def test_after_an_error_of_the_database_the_next_block_is_as_good_as_ever(cast):
    with pytest.raises(IntegrityError), atomic():
        audit.record("half", "done", by=cast.ada)
        User.objects.create(username="mira", unix_account="other")
    assert not AuditEntry.objects.filter(verb="half").exists()
    accounts.rename(cast.otto, "Otto", by=cast.ada)
    assert AuditEntry.objects.filter(verb="account.rename").count() == 1


def test_attempts_at_once_are_all_counted(cast):
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7")
    results = at_once(6, lambda number: throttle.attempt(request, "mira"))
    row = SignInAttempts.objects.get()
    assert row.count == sum(result == 0 for result in results)
    assert row.count >= throttle.FREE


def test_what_another_holds_for_good_is_given_up_as_a_database_that_is_away(monkeypatch):
    monkeypatch.setattr(transactions, "_PAUSES", (0, 0))
    monkeypatch.setattr(transactions, "_may_succeed_later", lambda error: True)
    tries = []

    @retried
    def work():
        tries.append(1)
        raise DatabaseError("WriteConflict")

    with pytest.raises(Contended) as raised:
        work()
    assert (len(tries), isinstance(raised.value, AWAY)) == (3, True)


def test_turns_at_once_are_all_counted(project):
    @retried
    def work(number):
        with atomic():
            lock(project)
            audit.record("turn", str(number), by=None)

    assert at_once(6, work) == [None] * 6
    project.refresh_from_db()
    assert project.turn == 3 + 6  # the team of three took turns, too
    assert AuditEntry.objects.filter(verb="turn").count() == 6


def test_while_one_has_its_turn_the_next_reads_what_it_left(project, cast):
    """A check and what hangs on it: read, decide, write. Of six, one finds it undecided."""

    @retried
    def work(number):
        with atomic():
            lock(project)
            if Project.objects.filter(pk=project.pk, summary="decided").exists():
                return "late"
            Project.objects.filter(pk=project.pk).update(summary="decided")
            return "first"

    assert sorted(at_once(6, work)) == ["first"] + ["late"] * 5


def test_workers_at_once_take_each_job_once(db, monkeypatch):
    done = []
    monkeypatch.setitem(jobs._tasks, "note", lambda *, number: done.append(number))
    for number in range(8):
        jobs.enqueue("note", number=number)

    def work(number):
        while jobs.run_next():
            pass

    assert at_once(3, work) == [None] * 3
    assert sorted(done) == list(range(8))


def test_of_commands_each_is_sent_by_one_of_those_who_look(center):
    for number in range(6):
        outbox.send(center.node, Stop(f"{number:032x}"))
    sent = at_once(3, lambda number: [key for _, key, _ in outbox.due(center.row.pk)])
    keys = [key for found in sent for key in found]
    assert len(keys) == len(set(keys)) == 6


def test_a_name_is_taken_once_with_one_entry_in_the_audit(center, cast):
    at_once(4, lambda number: actions.create_project(cast.mira, "twice"))
    assert Project.objects.filter(name="twice").count() == 1
    assert AuditEntry.objects.filter(verb="project.create").count() == 1


def too_late():
    """What MongoDB says to the later of two that write one document."""
    from pymongo.errors import OperationFailure

    return OperationFailure("WriteConflict", 112, {"errorLabels": ["TransientTransactionError"]})


@on_mongodb
def test_what_begins_anew_finds_its_rows_as_they_were_given(cast):
    tries = []

    @retried
    def work(user):
        tries.append(user.first_name)
        with atomic():
            User.objects.filter(pk=user.pk).update(first_name="inside")
            user.first_name = "changed"
            if len(tries) == 1:
                raise DatabaseError from too_late()

    work(cast.otto)
    assert tries == ["", ""]
    cast.otto.refresh_from_db()
    assert cast.otto.first_name == "inside"


@on_mongodb
def test_within_an_open_transaction_only_the_outermost_begins_anew(cast):
    tries = {"outer": 0, "inner": 0}

    @retried
    def inner():
        with atomic():
            tries["inner"] += 1
            if tries["inner"] == 1:
                raise DatabaseError from too_late()

    @retried
    def outer():
        with atomic():
            tries["outer"] += 1
            inner()

    outer()
    assert tries == {"outer": 2, "inner": 2}
