from itertools import pairwise

from accounts.authz import MAY, PERMISSIONS, ROLES, allows, may_grant


def test_each_role_may_do_all_that_the_next_weaker_one_may():
    for stronger, weaker in pairwise(ROLES):
        assert MAY[weaker] < MAY[stronger]


def test_nobody_may_do_anything_in_a_private_project():
    assert not any(allows(None, permission) for permission in PERMISSIONS)


def test_outsiders_may_only_view_a_public_project():
    assert [p for p in PERMISSIONS if allows(None, p, public=True)] == ["view"]


def test_an_unknown_permission_is_denied():
    assert not allows("owner", "fly")


def test_viewers_start_nothing():
    assert not allows("viewer", "start")


def test_managers_grant_up_to_their_own_role_and_never_ownership():
    assert [role for role in ROLES if may_grant("manager", role)] == ["manager", "editor", "viewer"]


def test_editors_grant_nothing():
    assert not any(may_grant("editor", role) for role in ROLES)
