from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.http import Http404
from guardian.shortcuts import assign_perm

from accounts.errors import Conflict, Forbidden, Invalid
from accounts.models import AuditEntry
from projects import access, actions
from projects.models import Project


@pytest.mark.parametrize(
    "name", ["", "a", "Fore", "9lives", "a" * 33, "fore cast", "fore_cast", "..", "a/b"]
)
def test_a_name_outside_the_rule_is_refused(center, cast, name):
    with pytest.raises(Invalid) as caught:
        actions.create_project(cast.mira, name)
    assert caught.value.field == "name"


def test_a_name_of_ones_own_that_is_taken_is_a_conflict_that_names_the_field(project, cast):
    with pytest.raises(Conflict) as caught:
        actions.create_project(cast.mira, "forecast")
    assert caught.value.field == "name"


def test_two_people_may_each_have_a_project_of_one_name(project, cast):
    assert actions.create_project(cast.otto, "forecast").owner == cast.otto


@pytest.mark.django_db(transaction=True)
def test_of_two_who_race_for_a_name_one_wins_and_one_is_told(center, cast):
    def create(_):
        try:
            return actions.create_project(cast.mira, "race").name
        except Conflict as error:
            return error.field
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(create, range(2))) == ["name", "race"]


def test_a_summary_that_is_too_long_is_refused_with_its_length(center, cast):
    with pytest.raises(Invalid, match="201"):
        actions.create_project(cast.mira, "forecast", summary="x" * 201)


def test_outsiders_find_nothing(project, cast):
    with pytest.raises(Http404):
        access.get_project(cast.otto, "mira", "forecast")
    assert not access.visible_projects(cast.otto).exists()


def test_members_find_it_by_name_and_in_their_list(project, cast):
    assert access.get_project(cast.vera, "mira", "forecast") == project
    assert list(access.visible_projects(cast.vera)) == [project]


def test_everybody_finds_a_public_project(project, cast):
    actions.update_project(project, by=cast.mira, visibility="public")
    assert list(access.visible_projects(cast.otto)) == [project]
    assert access.role_of(cast.otto, project) is None


def test_a_group_gives_its_role_to_its_people(project, cast):
    from django.contrib.auth.models import Group

    group = Group.objects.create(name="grid-team")
    cast.otto.groups.add(group)
    assign_perm("projects.role_editor", group, project)
    assert access.role_of(cast.otto, project) == "editor"
    assert (cast.otto, "editor") in access.team(project)


def test_the_strongest_role_counts(project, cast):
    assign_perm("projects.role_viewer", cast.edda, project)
    assert access.role_of(cast.edda, project) == "editor"


def test_the_team_is_listed_owner_first(project):
    assert [(user.username, role) for user, role in access.team(project)] == [
        ("mira", "owner"), ("max", "manager"), ("edda", "editor"), ("vera", "viewer"),
    ]  # fmt: skip


def test_a_manager_adds_people_but_not_the_owner_again(project, cast):
    actions.set_role(project, "otto", "editor", by=cast.max)
    assert access.role_of(cast.otto, project) == "editor"
    with pytest.raises(Invalid):
        actions.set_role(project, "mira", "viewer", by=cast.max)


@pytest.mark.row(16)
def test_a_manager_does_not_change_another_manager(project, cast):
    actions.set_role(project, "otto", "manager", by=cast.mira)
    with pytest.raises(Forbidden):
        actions.set_role(project, "otto", "viewer", by=cast.max)
    with pytest.raises(Forbidden):
        actions.remove_member(project, "otto", by=cast.max)


@pytest.mark.parametrize("person", ["edda", "vera"])
def test_editors_and_viewers_add_nobody(project, cast, person):
    with pytest.raises(Forbidden):
        actions.set_role(project, "otto", "viewer", by=getattr(cast, person))


def test_outsiders_adding_themselves_see_nothing(project, cast):
    with pytest.raises(Http404):
        actions.set_role(project, "otto", "manager", by=cast.otto)


def test_people_may_leave(project, cast):
    actions.remove_member(project, "vera", by=cast.vera)
    assert access.role_of(cast.vera, project) is None


def test_removing_somebody_twice_is_no_error_and_audited_once(project, cast):
    actions.remove_member(project, "vera", by=cast.mira)
    actions.remove_member(project, "vera", by=cast.mira)
    assert AuditEntry.objects.filter(verb="team.remove").count() == 1


@pytest.mark.row(16)
def test_only_the_owner_publishes_and_deletes(project, cast):
    with pytest.raises(Forbidden):
        actions.update_project(project, by=cast.max, visibility="public")
    with pytest.raises(Forbidden):
        actions.delete_project(project, by=cast.max)


def test_deleting_a_project_leaves_its_audit(project, cast):
    key = project.pk
    actions.delete_project(project, by=cast.mira)
    assert not Project.objects.filter(pk=key).exists()
    assert AuditEntry.objects.filter(project_id=key, verb="project.delete").exists()
