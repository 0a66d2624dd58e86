"""Two people at once, on a database that others write to as well."""

import pytest
from django.http import Http404

from accounts.errors import ActionError, Conflict, Forbidden
from datacenters.models import NodeCommand
from projects import access, actions, events, lifecycle
from projects.models import AppInstance, Project
from tests.threads import at_once

pytestmark = pytest.mark.django_db(transaction=True)


def between(monkeypatch, module, name, act):
    """Have ``act`` happen once, just before the first call of a function."""
    real, done = getattr(module, name), []

    def call(*args, **kwargs):
        if not done:
            done.append(True)
            act()
        return real(*args, **kwargs)

    monkeypatch.setattr(module, name, call)


def active():
    return AppInstance.objects.filter(state__in=list(lifecycle.ACTIVE)).exclude(state="stopping")


def test_a_name_is_taken_once(center, cast):
    results = at_once(*[lambda: actions.create_project(cast.mira, "twice")] * 6)
    assert sum(isinstance(result, Project) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 5


def test_starts_at_once_give_one_app(project, cast):
    fresh = [Project.objects.select_related("owner").get() for _ in range(6)]
    results = at_once(*[lambda p=p: actions.start_app(p, "lab", by=cast.mira) for p in fresh])
    assert len({result.pk for result in results}) == 1
    assert AppInstance.objects.count() == 1


def test_starts_and_stops_at_once_leave_at_most_one_app_and_no_traceback(project, cast):
    works = [
        lambda: actions.start_app(project, "lab", by=cast.mira),
        lambda: actions.stop_app(project, "lab", by=cast.mira),
    ]
    results = at_once(*works * 4)
    assert [result for result in results if isinstance(result, Exception)] == []
    assert AppInstance.objects.filter(state__in=list(lifecycle.ACTIVE)).count() <= 1


@pytest.mark.rule(12)
def test_a_start_that_passes_a_removal_from_the_team_starts_nothing(project, cast, monkeypatch):
    between(monkeypatch, actions.apps, "lock",
            lambda: actions.remove_member(project, "edda", by=cast.mira))  # fmt: skip
    with pytest.raises(Http404):
        actions.start_app(project, "lab", by=cast.edda)
    assert not active().exists()


@pytest.mark.rule(12)
def test_removals_and_starts_at_once_leave_nothing_running(project, cast):
    for _ in range(5):
        actions.set_role(project, "edda", "editor", by=cast.mira)
        at_once(
            lambda: actions.start_app(project, "lab", by=cast.edda),
            lambda: actions.remove_member(project, "edda", by=cast.mira),
        )
        assert access.role_of(cast.edda, project) is None
        assert not active().filter(user=cast.edda).exists()


def test_a_start_in_a_project_that_is_being_deleted_finds_nothing(project, cast, monkeypatch):
    other = Project.objects.select_related("owner").get()
    between(monkeypatch, actions.apps, "lock", lambda: actions.delete_project(other, by=cast.mira))
    with pytest.raises(Http404):
        actions.start_app(project, "lab", by=cast.mira)


def test_a_first_start_and_a_deletion_leave_no_directory_behind(project, cast, center):
    other = Project.objects.select_related("owner").get()
    actions.start_app(other, "lab", by=cast.mira)
    assert project.node is None  # as the page of the deletion read it
    actions.delete_project(project, by=cast.mira)
    assert "remove_project" in NodeCommand.objects.get().body


def test_a_role_in_a_deleted_project_is_given_to_nobody(project, cast):
    Project.objects.all().delete()
    with pytest.raises(Http404):
        actions.set_role(project, "otto", "editor", by=cast.mira)
    assert access.shared_ids(cast.otto) == []


def test_two_managers_who_demote_each_other_do_not_both_succeed(project, cast, monkeypatch):
    actions.set_role(project, "edda", "manager", by=cast.mira)
    between(monkeypatch, actions.team, "lock",
            lambda: actions.set_role(project, "max", "editor", by=cast.mira))  # fmt: skip
    with pytest.raises(Forbidden):
        actions.set_role(project, "otto", "manager", by=cast.max)
    assert access.role_of(cast.otto, project) is None


def test_a_report_on_an_app_whose_project_was_just_deleted_is_no_error(project, cast, monkeypatch):
    row = actions.start_app(project, "lab", by=cast.mira)
    Project.objects.all().delete()
    assert not events.until_applied(row, "stop", by=cast.mira)


def test_everything_at_once_ends_in_refusals_and_never_in_a_traceback(project, cast):
    def each(action, *args, **kwargs):
        own = Project.objects.select_related("owner").get()  # as each request reads it
        return lambda: action(own, *args, **kwargs)

    works = [each(actions.start_app, "lab", by=cast.edda) for _ in range(4)]
    works += [each(actions.set_role, "edda", role, by=cast.mira) for role in ("viewer", "editor")]
    works += [each(actions.stop_project, by=cast.mira), each(actions.delete_project, by=cast.mira)]
    broken = [
        result
        for result in at_once(*works)
        if isinstance(result, Exception) and not isinstance(result, ActionError | Http404)
    ]
    assert broken == []
