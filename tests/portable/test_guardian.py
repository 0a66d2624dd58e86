"""What guardian promises of roles, on each of the three databases."""

import pytest
from django.contrib.auth.models import Group
from guardian.core import ObjectPermissionChecker
from guardian.models import GroupObjectPermission, UserObjectPermission
from guardian.shortcuts import assign_perm, get_perms

from projects import access, actions
from projects.models import Project

EDITOR = "projects.role_editor"


@pytest.fixture
def night_shift(cast):
    group = Group.objects.create(name="night-shift")
    cast.otto.groups.add(group)
    return group


def test_a_person_has_what_they_were_given_on_that_project_alone(project, cast):
    other = actions.create_project(cast.mira, "other")
    assert cast.edda.has_perm(EDITOR, project)
    assert not cast.edda.has_perm(EDITOR, other)
    assert not cast.otto.has_perm(EDITOR, project)
    assert get_perms(cast.edda, project) == ["role_editor"]


def test_a_group_gives_what_it_has(project, cast, night_shift):
    assign_perm(EDITOR, night_shift, project)
    assert cast.otto.has_perm(EDITOR, project)
    assert "role_editor" in ObjectPermissionChecker(cast.otto).get_perms(project)
    assert access.role_of(cast.otto, project) == "editor"
    assert (cast.otto, "editor") in access.team(project)
    assert access.only_by_group(cast.otto, project)
    assert project in access.team_projects(cast.otto)


def test_roles_in_many_projects_are_the_roles_in_each(project, cast, night_shift):
    assign_perm("projects.role_viewer", night_shift, project)
    assign_perm(EDITOR, cast.otto, project)
    other = actions.create_project(cast.otto, "other", visibility="public")
    for user in (cast.mira, cast.otto, cast.vera, cast.ada):
        each = {row.pk: access.role_of(user, row) for row in (project, other)}
        assert access.roles_of(user, [project, other]) == {pk: r for pk, r in each.items() if r}


def test_given_twice_it_is_there_once(project, cast):
    assign_perm(EDITOR, cast.edda, project)
    assert UserObjectPermission.objects.filter(user=cast.edda).count() == 1


def test_a_role_that_was_taken_is_gone(project, cast):
    actions.set_role(project, "edda", "viewer", by=cast.mira)
    assert get_perms(type(cast.edda).objects.get(pk=cast.edda.pk), project) == ["role_viewer"]
    actions.remove_member(project, "edda", by=cast.mira)
    assert access.role_of(cast.edda, project) is None


def test_a_deleted_project_leaves_no_permission_behind(project, cast, night_shift):
    assign_perm(EDITOR, night_shift, project)
    actions.delete_project(project, by=cast.mira)
    assert not UserObjectPermission.objects.exists()
    assert not GroupObjectPermission.objects.exists()


def test_everybody_sees_their_own_the_shared_and_the_public_ones(project, cast, night_shift):
    actions.create_project(cast.otto, "own")
    actions.create_project(cast.max, "hidden")
    public = actions.create_project(cast.max, "open", visibility="public")
    assert {row.name for row in access.visible_projects(cast.otto)} == {"own", "open"}
    assert {row.name for row in access.visible_projects(cast.vera)} == {"forecast", "open"}
    assert access.may(cast.otto, public, "view")
    assert Project.objects.count() == 4
