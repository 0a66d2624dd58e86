"""What ends with a lock, a sign-out and a removal; who may do it; and that it is written down."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts import actions
from accounts.errors import Conflict
from accounts.models import AuditEntry, User
from accounts.secrets import digest
from datacenters.models import GatewaySession, SignInCode
from projects import access
from projects import actions as projects


def browser(user):
    client = Client()
    client.force_login(user)
    return client


def verbs():
    return list(AuditEntry.objects.order_by("at").values_list("verb", flat=True))


def code(user, center, session="s"):
    return SignInCode.objects.create(
        digest=digest("code"), gateway=center.gateway, user=user, session=session,
        redirect_uri="http://gateway.test/-/callback", code_challenge="x", code_challenge_method="S256",
    )  # fmt: skip


# --- locks and sign-outs -------------------------------------------------------------------------


@pytest.mark.row(17)
def test_unlocking_does_not_bring_an_old_browser_back(cast):
    mira = browser(cast.mira)
    actions.lock_user(cast.mira, by=cast.ada)
    assert mira.get("/running/").status_code == 302
    actions.unlock_user(cast.mira, by=cast.ada)
    assert mira.get("/running/").status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("end", ["lock", "everywhere", "password", "sign_out"])
@pytest.mark.row(17)
def test_no_code_and_no_gateway_session_outlives_what_it_came_from(end, cast, center):
    mira = browser(cast.mira)
    session = digest(mira.session.session_key)
    code(cast.mira, center, session)
    GatewaySession.objects.create(
        digest=digest("g"), gateway=center.gateway, user=cast.mira, session=session,
        expires_at=timezone.now() + timedelta(days=1),
    )  # fmt: skip
    if end == "lock":
        actions.lock_user(cast.mira, by=cast.ada)
    elif end == "everywhere":
        mira.post("/accounts/sign-out-everywhere")
    elif end == "password":
        actions.set_password(cast.mira, "quite-New-Words-9", by=cast.mira)
    else:
        mira.post("/accounts/logout/")
    assert not SignInCode.objects.exists()
    assert not GatewaySession.objects.exists()


@pytest.mark.row(17)
def test_signing_in_gives_the_browser_a_new_session(cast):
    client = Client()
    client.get("/accounts/login/")
    client.session["x"] = 1
    before = client.session.session_key
    client.post("/accounts/login/", {"username": "mira", "password": "mira-Secret-1"})
    assert client.session.session_key != before


# --- who may do what -----------------------------------------------------------------------------


@pytest.fixture
def helper(cast):
    """Somebody of the staff who is not a superuser."""
    User.objects.filter(username="otto").update(is_staff=True)
    return browser(cast.otto)


@pytest.mark.parametrize("what", ["link", "lock", "unlock"])
@pytest.mark.row(16)
def test_staff_touch_nobody_who_may_do_more_than_they(what, helper, cast):
    assert helper.post(f"/manage/users/ada/{what}").status_code == 403


@pytest.mark.row(16)
def test_staff_cannot_make_themselves_more(helper, cast):
    helper.post(
        "/admin-site/accounts/user/",
        {"action": "make_administrator", "_selected_action": str(cast.otto.pk)},
    )
    assert not User.objects.get(username="otto").is_superuser


@pytest.mark.parametrize(
    "end",
    [
        lambda ada: actions.set_administrator(ada, administrator=False, by=None),
        lambda ada: actions.lock_user(ada, by=None),
        lambda ada: actions.delete_user(ada, by=None),
    ],
    ids=["unmake", "lock", "remove"],
)
def test_the_last_administrator_stays_one(end, cast):
    with pytest.raises(Conflict, match="only administrator"):
        end(cast.ada)


def test_the_admin_has_no_sign_in_and_no_password_page_of_its_own(cast):
    answer = Client().get("/admin-site/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/?next=")
    assert browser(cast.mira).get("/admin-site/", follow=True).status_code == 404
    page = browser(cast.ada)
    new = {"new_password1": "Other-Words-77", "new_password2": "Other-Words-77"}
    page.post("/admin-site/password_change/", {"old_password": "ada-Secret-1", **new})
    cast.ada.refresh_from_db()
    assert cast.ada.check_password("ada-Secret-1")


def test_groups_are_not_edited_past_the_audit():
    assert not admin.site.is_registered(Group)


# --- the audit -----------------------------------------------------------------------------------


def test_making_a_link_that_sets_anothers_password_is_audited(cast):
    browser(cast.ada).post("/manage/users/mira/link")
    row = AuditEntry.objects.get(verb="account.password_link")
    assert (row.actor_name, row.target, row.detail) == ("ada", "mira", {})


def test_changing_a_name_is_audited(cast):
    browser(cast.mira).post("/accounts/name", {"full_name": "Mira Lind"})
    assert AuditEntry.objects.get(verb="account.rename").detail == {"full_name": "Mira Lind"}


# --- removing a person ---------------------------------------------------------------------------


def test_an_owner_is_not_removed_and_the_project_is_named(project, cast):
    with pytest.raises(Conflict, match="mira/forecast"):
        actions.delete_user(cast.mira, by=None)


def test_whoever_runs_an_app_is_not_removed(project, cast):
    projects.start_app(project, "lab", by=cast.edda)
    with pytest.raises(Conflict, match="lab of edda still runs in mira/forecast"):
        actions.delete_user(cast.edda, by=None)


def test_a_removed_person_leaves_no_entry_in_a_team_or_on_a_node(project, cast):
    from datacenters.models import NodeCommand

    row = projects.start_app(project, "lab", by=cast.edda)
    type(row).objects.update(state="stopped", slot=row.pk.hex)
    actions.delete_user(cast.edda, by=None)
    assert "edda" not in [user.username for user, _ in access.team(project)]
    assert "edda" not in NodeCommand.objects.last().body


# --- cookies -------------------------------------------------------------------------------------


def test_every_cookie_bears_the_prefix_by_which_gateways_keep_it_from_apps(project, cast):
    client = Client()
    client.post("/accounts/login/", {"username": "ada", "password": "ada-Secret-1"})
    client.post("/manage/users/mira/lock")  # leaves a note for the next page
    client.post("/admin-site/accounts/user/add/", {"username": "nora", "first_name": ""})
    client.post("/accounts/theme", {"theme": "dark"})
    client.get("/admin-site/accounts/user/")
    assert client.cookies
    assert [name for name in client.cookies if not name.startswith("aen_")] == []
