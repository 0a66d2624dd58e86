"""Two transactions that each read what the other one writes: never do both go ahead, on any database.

Both are held where they have read and not yet written, until both are there. Where one waits for the
other, as it should, that one goes on alone after a moment.
"""

import contextlib
import threading
from uuid import uuid4

import pytest
from django.http import Http404

from accounts import actions as accounts
from accounts import audit
from accounts.errors import ActionError, Conflict
from accounts.models import ApiToken, FormerName, User
from accounts.transactions import atomic, retried
from datacenters import actions as datacenters
from datacenters.models import Node
from projects import access, actions
from projects.actions.locking import lock
from projects.models import AppInstance, PathOverride, Project
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)

#: Seconds in which the other one comes to the same point, unless it has to wait.
MOMENT = 0.3


class Meeting:
    """Where two meet; each thread waits here once."""

    def __init__(self):
        self._barrier, self._been = threading.Barrier(2), threading.local()

    def wait(self):
        if not getattr(self._been, "here", False):
            self._been.here = True
            # Broken: the other one has to wait, or refuses to go on.
            with contextlib.suppress(threading.BrokenBarrierError):
                self._barrier.wait(MOMENT)


@pytest.fixture
def meeting(monkeypatch):
    """Actions meet where they write down what they do: after their checks, before their end."""
    place, record = Meeting(), audit.record

    def met(*args, **kwargs):
        place.wait()
        record(*args, **kwargs)

    monkeypatch.setattr(audit, "record", met)
    return place


def refused(result):
    return isinstance(result, ActionError | Http404)


ENDS = {
    "lock": lambda user, by: accounts.lock_user(user, by=by),
    "demote": lambda user, by: accounts.set_administrator(user, administrator=False, by=by),
    "remove": lambda user, by: accounts.delete_user(user, by=by),
}


@pytest.mark.parametrize(("first", "second"), [("lock", "lock"), ("demote", "remove")])
def test_two_administrators_never_end_each_other(first, second, cast, meeting):
    accounts.set_administrator(cast.max, administrator=True, by=None)
    results = at_once(
        lambda: ENDS[first](cast.ada, cast.max), lambda: ENDS[second](cast.max, cast.ada)
    )
    assert sorted(map(refused, results)) == [False, True], results
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


BEGINS = {
    "a project": lambda otto, project: actions.create_project(otto, "own"),
    "a role": lambda otto, project: actions.set_role(project, "otto", "viewer", by=project.owner),
    "rights by hand": lambda otto, project: actions.set_override(
        project, "otto", "data", "r-x", by=project.owner
    ),
    "an app": lambda otto, project: actions.start_app(project, "lab", by=otto),
    "a token": lambda otto, project: accounts.create_token(otto, "t", ["api"], by=otto),
}  # fmt: skip


@pytest.mark.parametrize("what", BEGINS)
def test_nothing_is_left_to_somebody_who_is_removed_meanwhile(what, project, cast, meeting):
    if what == "an app":  # of somebody who may start one, so it is not the first role that ends it
        actions.set_role(project, "otto", "editor", by=cast.mira)
    begun, removed = at_once(
        lambda: BEGINS[what](cast.otto, project),
        lambda: accounts.delete_user(cast.otto, by=cast.ada),
    )
    assert refused(begun) or not isinstance(begun, Exception), begun
    assert refused(removed) or removed is None, removed
    if User.objects.filter(username="otto").exists():
        assert refused(removed) and not refused(begun)
        return
    assert access.teams([project])[project.pk][0][0] == cast.mira
    assert len(access.team(project)) == 4
    for model, field in [(Project, "owner"), (ApiToken, "user"), (PathOverride, "user"),
                         (AppInstance, "user")]:  # fmt: skip
        assert not model.objects.filter(**{field: cast.otto.pk}).exists(), model


def test_the_name_of_somebody_removed_this_moment_is_given_to_nobody(cast, monkeypatch):
    check = accounts.check_new_name

    def removed_after(username):
        check(username)
        accounts.delete_user(cast.otto, by=cast.ada)

    monkeypatch.setattr(accounts, "check_new_name", removed_after)
    with pytest.raises(Conflict, match="was somebody who is removed"):
        accounts.create_user("otto", by=cast.ada)
    assert FormerName.objects.filter(pk="otto").exists()
    assert not User.objects.filter(username="otto").exists()


def test_a_node_that_is_removed_gets_no_first_start(project, center, cast, meeting, monkeypatch):
    read_node = actions.apps.read_node

    def met(row):
        meeting.wait()
        read_node(row)

    monkeypatch.setattr(actions.apps, "read_node", met)
    started, removed = at_once(
        lambda: actions.start_app(project, "lab", by=cast.mira),
        lambda: datacenters.remove_node(center.node, by=cast.ada),
    )
    assert sorted([refused(started), refused(removed)]) == [False, True], (started, removed)
    project.refresh_from_db()
    assert Node.objects.filter(pk=center.node.pk).exists() == (project.node_id is not None)


def test_two_that_wait_for_each_other_both_come_to_an_end(project, cast):
    other, place = actions.create_project(cast.mira, "other"), Meeting()

    @retried
    def work(first, second):
        with atomic():
            lock(first)
            place.wait()
            lock(second)
            audit.record("turn", uuid4().hex, by=None)
        return "done"

    assert at_once(lambda: work(project, other), lambda: work(other, project)) == ["done"] * 2
