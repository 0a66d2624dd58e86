"""Rights that people set by hand on files and folders."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.http import Http404
from guardian.shortcuts import assign_perm

from accounts import actions as accounts
from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import AuditEntry
from compute_agent.protocol import SecureProject, decode_command
from datacenters import outbox
from datacenters.models import NodeCommand
from projects import actions, history
from projects.actions import permissions
from projects.models import PathOverride, Project
from projects.specs import spec

ALL = [r + w + x for r in "r-" for w in "w-" for x in "x-"]


@pytest.fixture
def placed(project, center):
    """The project, as after its first start."""
    Project.objects.update(node=center.node)
    project.refresh_from_db()
    return project


def overrides(project):
    return [(one.path, one.account, one.access) for one in spec(project).overrides]


def sent(center):
    return [command for _, _, command in outbox.due(center.row.pk)]


# --- setting and clearing ------------------------------------------------------------------------


@pytest.mark.rule(13)
@pytest.mark.parametrize("rights", ALL)
def test_every_combination_of_rights_can_be_set_and_is_sent_to_the_node(placed, cast, rights):
    actions.set_override(placed, "edda", "data/raw", rights, by=cast.mira)
    assert overrides(placed) == [("data/raw", "edda", rights)]


@pytest.mark.rule(13)
def test_a_change_is_sent_at_once_with_all_that_is_set(placed, cast, center):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    actions.set_override(placed, "vera", "notes.md", "rw-", by=cast.max)
    _, second = sent(center)
    assert isinstance(second, SecureProject) and second == SecureProject(spec(placed))
    assert [one.path for one in second.project.overrides] == ["data", "notes.md"]


def test_each_change_makes_the_project_newer_than_before(placed, cast, center):
    revisions = []
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    revisions.append(spec(placed).revision)
    actions.remove_override(placed, "edda", "data", by=cast.mira)
    revisions.append(spec(placed).revision)
    bodies = NodeCommand.objects.order_by("created_at").values_list("body", flat=True)
    assert [decode_command(body.encode()).project.revision for body in bodies] == revisions
    assert revisions == sorted(set(revisions))


def test_setting_again_replaces_and_setting_the_same_again_does_nothing(placed, cast, center):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    actions.set_override(placed, "edda", "data/", "---", by=cast.max)
    actions.set_override(placed, "edda", "./data", "---", by=cast.mira)
    row = PathOverride.objects.get()
    assert (row.path, row.access, row.set_by_name) == ("data", "---", "max")
    assert AuditEntry.objects.filter(verb="access.set").count() == 2
    assert NodeCommand.objects.count() == 2


def test_clearing_returns_to_the_role_and_clearing_again_does_nothing(placed, cast, center):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    assert actions.remove_override(placed, "edda", "data", by=cast.max) == "r-x"
    assert actions.remove_override(placed, "edda", "data", by=cast.max) is None
    assert overrides(placed) == []
    assert AuditEntry.objects.filter(verb="access.remove").count() == 1


def test_before_the_first_start_it_is_kept_until_there_is_a_node(project, cast):
    actions.set_override(project, "edda", "data", "r-x", by=cast.mira)
    assert not NodeCommand.objects.exists()
    assert overrides(project) == [("data", "edda", "r-x")]


def test_one_path_may_be_set_for_several_people_and_in_several_projects(placed, cast):
    other = actions.create_project(cast.mira, "other")
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    actions.set_override(placed, "vera", "data", "---", by=cast.mira)
    actions.set_override(other, "edda", "data", "rwx", by=cast.mira)
    assert overrides(placed) == [("data", "edda", "r-x"), ("data", "vera", "---")]
    assert overrides(other) == [("data", "edda", "rwx")]


def test_somebody_outside_the_team_may_be_given_something_extra(placed, cast):
    actions.set_override(placed, "otto", "data/report.csv", "r--", by=cast.mira)
    assert overrides(placed) == [("data/report.csv", "otto", "r--")]


def test_what_was_set_is_told_in_the_projects_history(placed, cast):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    event = history.of_project(placed)[0]
    words = " ".join([event.who, event.before, event.what, event.after])
    assert words == "mira set data to read only for edda"


# --- who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize("person", ["edda", "vera"])
def test_editors_and_viewers_set_and_clear_nothing(placed, cast, person):
    by = getattr(cast, person)
    with pytest.raises(Forbidden):
        actions.set_override(placed, "vera", "data", "rwx", by=by)
    with pytest.raises(Forbidden):
        actions.remove_override(placed, "vera", "data", by=by)


def test_outsiders_find_nothing_to_set(placed, cast):
    with pytest.raises(Http404):
        actions.set_override(placed, "otto", "data", "rwx", by=cast.otto)


def test_one_who_has_something_extra_but_no_role_still_sees_no_project(placed, cast):
    actions.set_override(placed, "otto", "data", "rwx", by=cast.mira)
    with pytest.raises(Http404):
        actions.remove_override(placed, "otto", "data", by=cast.otto)


def test_a_managers_rights_are_the_owners_matter_ones_own_included(placed, cast):
    with pytest.raises(Forbidden, match="Only mira"):
        actions.set_override(placed, "max", "data", "rwx", by=cast.max)
    actions.set_override(placed, "max", "data", "---", by=cast.mira)
    with pytest.raises(Forbidden, match="Only mira"):
        actions.remove_override(placed, "max", "data", by=cast.max)


def test_the_owner_cannot_be_restricted(placed, cast):
    with pytest.raises(Invalid, match="owns the project") as refused:
        actions.set_override(placed, "mira", "data", "---", by=cast.max)
    assert refused.value.field == "user"


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "Name a file or folder"),
        (".", "Name a file or folder"),
        ("/", "inside the project"),
        ("/etc/passwd", "inside the project"),
        ("..", "“..”"),
        ("data/../../../etc", "“..”"),
        ("data/./raw", "“.”"),
        ("data//raw", "two slashes"),
        ("a\x00b", "NUL"),
        ("a\udcffb", "UTF-8"),
        ("a/" * 2100 + "b", "4,201 bytes"),
        ("ä" * 128, "256 bytes"),
    ],
)
def test_a_bad_path_names_the_field_and_the_mend(placed, cast, path, words):
    with pytest.raises(Invalid, match=words) as refused:
        actions.set_override(placed, "edda", path, "r-x", by=cast.mira)
    assert refused.value.field == "path"


@pytest.mark.parametrize(
    "path", ["a b", " a", "-rf", "new\nline", "ünï/çødé", "x" * 255, "~", "..."]
)
def test_odd_names_that_files_do_have_are_taken(placed, cast, path):
    actions.set_override(placed, "edda", path, "r-x", by=cast.mira)
    assert overrides(placed) == [(path, "edda", "r-x")]


@pytest.mark.parametrize("rights", ["", "rw", "rwxr", "xwr", "RWX", "r-x\n", "755"])
def test_bad_rights_name_the_field(placed, cast, rights):
    with pytest.raises(Invalid) as refused:
        actions.set_override(placed, "edda", "data", rights, by=cast.mira)
    assert refused.value.field == "access"


@pytest.mark.parametrize("name", ["nobody", "", "Edda", "x" * 200])
def test_an_unknown_person_names_the_field(placed, cast, name):
    for call in (
        lambda: actions.set_override(placed, name, "data", "r-x", by=cast.mira),
        lambda: actions.remove_override(placed, name, "data", by=cast.mira),
    ):
        with pytest.raises(Invalid) as refused:
            call()
        assert refused.value.field == "user"


@pytest.mark.django_db(transaction=True)
def test_more_than_fits_into_a_command_is_refused_and_nothing_of_it_kept(placed, cast, monkeypatch):
    monkeypatch.setattr(permissions, "LARGEST", 600)
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    with pytest.raises(Conflict, match="too much"):
        actions.set_override(placed, "edda", "x" * 250, "r-x", by=cast.mira)
    assert PathOverride.objects.count() == 1


# --- people who go -------------------------------------------------------------------------------


@pytest.mark.rule(12)
def test_what_was_set_for_a_member_goes_with_them(placed, cast, center):
    actions.set_override(placed, "edda", "data", "rwx", by=cast.mira)
    actions.remove_member(placed, "edda", by=cast.mira)
    assert not PathOverride.objects.exists()
    assert sent(center)[-1].project.overrides == ()


def test_who_stays_by_a_group_stays_restricted(placed, cast):
    group = Group.objects.create(name="grid-team")
    cast.edda.groups.add(group)
    assign_perm("projects.role_editor", group, placed)
    actions.set_override(placed, "edda", "data", "---", by=cast.mira)
    actions.remove_member(placed, "edda", by=cast.mira)
    assert overrides(placed) == [("data", "edda", "---")]


def test_another_role_leaves_what_was_set(placed, cast):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    actions.set_role(placed, "edda", "viewer", by=cast.mira)
    assert overrides(placed) == [("data", "edda", "r-x")]


def test_removing_a_person_clears_what_was_set_for_them_on_the_node_too(placed, cast, center):
    actions.set_override(placed, "otto", "data", "rwx", by=cast.mira)
    accounts.delete_user(cast.otto, by=None)
    assert not PathOverride.objects.exists()
    assert sent(center)[-1].project.overrides == ()


def test_removing_who_set_it_keeps_it_with_their_name(placed, cast):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.max)
    accounts.delete_user(cast.max, by=None)
    row = PathOverride.objects.get()
    assert (row.set_by, row.set_by_name) == (None, "max")


def test_deleting_a_project_leaves_none_of_it(placed, cast):
    actions.set_override(placed, "edda", "data", "r-x", by=cast.mira)
    actions.delete_project(placed, by=cast.mira)
    assert not PathOverride.objects.exists()


def test_a_locked_outsider_loses_what_was_extra_and_gets_it_back(placed, cast, center):
    actions.set_override(placed, "otto", "data", "rwx", by=cast.mira)
    sent(center)
    accounts.lock_user(cast.otto, by=cast.ada)
    (command,) = sent(center)
    assert command.project.overrides == () and overrides(placed) == []
    accounts.unlock_user(cast.otto, by=cast.ada)
    (command,) = sent(center)
    assert [one.account for one in command.project.overrides] == ["otto"]


def test_a_locked_member_stays_restricted(placed, cast):
    actions.set_override(placed, "edda", "data", "---", by=cast.mira)
    accounts.lock_user(cast.edda, by=cast.ada)
    assert overrides(placed) == [("data", "edda", "---")]


def test_for_a_locked_person_it_can_be_cleared_but_not_set(placed, cast):
    actions.set_override(placed, "edda", "data", "---", by=cast.mira)
    accounts.lock_user(cast.edda, by=cast.ada)
    with pytest.raises(Invalid):
        actions.set_override(placed, "edda", "data", "rwx", by=cast.mira)
    assert actions.remove_override(placed, "edda", "data", by=cast.mira) == "---"


# --- at once -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_who_set_one_path_at_once_leave_one_row(placed, cast):
    from concurrent.futures import ThreadPoolExecutor

    def set_to(rights):
        try:
            own = Project.objects.select_related("owner").get()
            return actions.set_override(own, "edda", "data", rights, by=cast.mira).access
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(set_to, ALL)) == sorted(ALL)
    assert PathOverride.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_removal_that_is_faster_is_seen(placed, cast, monkeypatch):
    """Max was made no manager any more between the page and the change."""
    real = permissions.lock

    def lock(project):
        monkeypatch.setattr(permissions, "lock", real)
        actions.set_role(project, "max", "viewer", by=cast.mira)
        real(project)

    monkeypatch.setattr(permissions, "lock", lock)
    with pytest.raises(Forbidden):
        actions.set_override(placed, "edda", "data", "r-x", by=cast.max)
    assert not PathOverride.objects.exists()
