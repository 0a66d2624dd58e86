"""What the server answers when a gateway asks whether a request may pass."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import actions as accounts
from accounts.secrets import digest
from datacenters import actions as datacenters
from datacenters.models import GatewaySession, Notice
from gateway.protocol import AccessQuestion, decode_answer, encode
from projects import actions
from projects.models import AppInstance


@pytest.fixture
def running(project, cast):
    """Mira's JupyterLab, running."""
    row = actions.start_app(project, "lab", by=cast.mira)
    AppInstance.objects.filter(pk=row.pk).update(state="running")
    return row


@pytest.fixture
def ask(client, center):
    def _ask(credential=None, **question):
        whole = {"owner": "mira", "project": "forecast", "app": "lab"} | question
        answer = client.post(
            "/gateway/access",
            encode(AccessQuestion(**whole)),
            content_type="application/json",
            headers={"Authorization": f"Bearer {credential or center.credential}"},
        )
        return decode_answer(answer.content) if answer.status_code == 200 else answer.status_code

    return _ask


def session_of(user, gateway, *, days=1):
    GatewaySession.objects.create(
        digest=digest(f"secret-{user}"), gateway=gateway, user=user, session="s",
        expires_at=timezone.now() + timedelta(days=days),
    )  # fmt: skip
    return f"secret-{user}"


def test_the_person_reaches_their_own_running_app(running, ask, cast, center):
    answer = ask(sessions=(session_of(cast.mira, center.gateway),))
    assert answer.status == 200
    assert (answer.grant.app_id, answer.grant.user) == (running.pk.hex, cast.mira.pk.hex)


def test_an_api_token_of_scope_apps_reaches_it_too(running, ask, cast):
    _, secret = accounts.create_token(cast.mira, "curl", ["apps"], by=cast.mira)
    assert ask(bearer=secret).grant.token is not None


def test_a_token_of_another_scope_does_not(running, ask, cast):
    _, secret = accounts.create_token(cast.mira, "curl", ["api"], by=cast.mira)
    assert ask(bearer=secret).status == 401


def test_a_bearer_that_is_wrong_is_not_rescued_by_a_session(running, ask, cast, center):
    assert ask(bearer="nonsense", sessions=(session_of(cast.mira, center.gateway),)).status == 401


def test_nobody_is_asked_to_sign_in(running, ask):
    assert ask().status == 401
    assert ask(sessions=("made-up",)).status == 401


@pytest.mark.row(8)
def test_of_two_cookies_of_one_name_the_valid_one_counts_in_either_order(
    running, ask, cast, center
):
    secret = session_of(cast.mira, center.gateway)
    assert ask(sessions=("stale", secret)).status == 200
    assert ask(sessions=(secret, "stale")).status == 200


def test_outsiders_are_told_that_nothing_is_there(running, ask, cast, center):
    assert ask(sessions=(session_of(cast.otto, center.gateway),)).status == 404


def test_a_member_reaches_an_instance_of_their_own_never_anothers(running, ask, cast, center):
    answer = ask(sessions=(session_of(cast.edda, center.gateway),))
    assert (answer.status, answer.grant) == (409, None)


def test_it_says_of_an_app_that_starts_that_it_does(running, ask, cast, center):
    session = session_of(cast.mira, center.gateway)
    said = {}
    for state in ("starting", "stopping"):
        AppInstance.objects.filter(pk=running.pk).update(state=state)
        answer = ask(sessions=(session,))
        said[state] = (answer.status, answer.starting, answer.detail)
    assert said == {
        "starting": (409, True, "JupyterLab is starting."),
        "stopping": (409, False, "JupyterLab is not running."),
    }


def test_viewers_open_no_apps(running, ask, cast, center):
    assert ask(sessions=(session_of(cast.vera, center.gateway),)).status == 403


def test_an_expired_session_is_none(running, ask, cast, center):
    assert ask(sessions=(session_of(cast.mira, center.gateway, days=-1),)).status == 401


@pytest.mark.row(4)
def test_a_session_of_one_gateway_is_none_at_another(running, ask, cast, center):
    _, credential = datacenters.enroll_gateway("south", center.row, "http://s.test", by=None)
    secret = session_of(cast.mira, center.gateway)
    assert ask(credential=credential, sessions=(secret,)).status == 401


@pytest.mark.row(4)
def test_a_gateway_of_another_data_center_does_not_reach_the_project(running, ask, cast):
    south = datacenters.ensure_data_center("south", by=None)
    gateway, credential = datacenters.enroll_gateway("south", south, "http://s.test", by=None)
    assert ask(credential=credential, sessions=(session_of(cast.mira, gateway),)).status == 404


def test_a_wrong_credential_gets_no_answer(running, ask):
    assert ask(credential="wrong") == 401


def test_enrolling_again_ends_the_old_credential(running, ask, center):
    datacenters.enroll_gateway("north", center.row, "http://gateway.test", by=None)
    assert ask() == 401


@pytest.mark.parametrize(
    "end",
    [
        lambda cast: accounts.lock_user(cast.mira, by=cast.ada),
        lambda cast: accounts.set_password(cast.mira, "another-Secret-1", by=cast.mira),
        lambda cast: accounts.sign_out_everywhere(cast.mira, by=cast.mira),
    ],
    ids=["lock", "password", "sign out everywhere"],
)
def test_ending_a_persons_access_ends_their_sessions_and_tells_gateways(
    running, ask, cast, center, end, django_capture_on_commit_callbacks
):
    secret = session_of(cast.mira, center.gateway)
    with django_capture_on_commit_callbacks(execute=True):
        end(cast)
    assert ask(sessions=(secret,)).status == 401
    assert Notice.objects.filter(field="user", value=cast.mira.pk.hex).exists()


@pytest.mark.row(2)
def test_signing_out_ends_what_that_browser_opened(running, ask, cast, center, client):
    client.force_login(cast.mira, backend="django.contrib.auth.backends.ModelBackend")
    secret = session_of(cast.mira, center.gateway)
    GatewaySession.objects.update(session=digest(client.session.session_key))
    client.logout()
    assert ask(sessions=(secret,)).status == 401
    assert Notice.objects.filter(field="session").exists()


def test_revoking_a_token_tells_gateways(cast, django_capture_on_commit_callbacks):
    token, _ = accounts.create_token(cast.mira, "curl", ["apps"], by=cast.mira)
    key = token.pk.hex
    with django_capture_on_commit_callbacks(execute=True):
        accounts.revoke_token(token, by=cast.mira)
    assert Notice.objects.filter(field="token", value=key).exists()


@pytest.mark.rule(12)
def test_removing_a_member_tells_gateways(project, cast):
    Notice.objects.all().delete()
    actions.remove_member(project, "edda", by=cast.mira)
    assert Notice.objects.filter(field="project", value=project.pk.hex).exists()
