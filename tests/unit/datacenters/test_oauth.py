"""The server as OAuth 2 provider for its gateways."""

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.utils import timezone

from accounts import actions as accounts
from datacenters import actions
from datacenters.models import GatewaySession, Notice, SignInCode
from datacenters.oauth import CODE_LIFETIME

VERIFIER = "v" * 50
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
CALLBACK = "http://gateway.test/-/callback"


@pytest.fixture
def signed_in(client, cast):
    client.force_login(cast.mira, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def authorize(center, client):
    def _authorize(**change):
        query = {
            "response_type": "code", "client_id": center.gateway.pk.hex, "redirect_uri": CALLBACK,
            "code_challenge": CHALLENGE, "code_challenge_method": "S256", "state": "xyz",
        } | change  # fmt: skip
        present = {key: value for key, value in query.items() if value is not None}
        return client.get("/oauth/authorize?" + urlencode(present))

    return _authorize


@pytest.fixture
def exchange(center, client):
    def _exchange(code, credential=None, **change):
        user = f"{center.gateway.pk.hex}:{credential or center.credential}"
        basic = base64.b64encode(user.encode()).decode()
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        } | change  # fmt: skip
        return client.post("/oauth/token", form, headers={"Authorization": f"Basic {basic}"})

    return _exchange


def code_of(answer):
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer["Location"]).query)["code"][0]


def test_a_signed_in_person_is_sent_back_with_a_code_and_the_state(signed_in, authorize):
    answer = authorize()
    assert answer["Location"].startswith(CALLBACK + "?")
    assert parse_qs(urlsplit(answer["Location"]).query)["state"] == ["xyz"]


def test_somebody_unknown_signs_in_first(authorize):
    answer = authorize()
    assert answer["Location"].startswith("/accounts/login/?next=/oauth/authorize")


def test_the_code_becomes_a_session_of_that_person_kept_only_as_a_digest(
    signed_in, authorize, exchange, cast
):
    body = exchange(code_of(authorize())).json()
    assert body["token_type"] == "Bearer"
    session = GatewaySession.objects.get()
    assert session.user == cast.mira
    assert body["access_token"] not in str(GatewaySession.objects.values_list())


def test_a_code_works_once(signed_in, authorize, exchange):
    code = code_of(authorize())
    assert exchange(code).status_code == 200
    assert exchange(code).status_code == 400


def test_a_code_is_good_for_a_minute(signed_in, authorize, exchange):
    code = code_of(authorize())
    SignInCode.objects.update(created_at=timezone.now() - 2 * CODE_LIFETIME)
    assert exchange(code).status_code == 400


def test_a_code_without_its_verifier_is_worth_nothing(signed_in, authorize, exchange):
    assert exchange(code_of(authorize()), code_verifier="w" * 50).status_code == 400


def test_a_code_is_worth_nothing_to_who_does_not_know_the_gateways_credential(
    signed_in, authorize, exchange
):
    assert exchange(code_of(authorize()), credential="wrong").status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"redirect_uri": "http://evil.test/-/callback"},
        {"redirect_uri": CALLBACK + "/.."},
        {"client_id": "0" * 32},
        {"client_id": "nonsense"},
        {"response_type": "token"},
    ],
)
def test_what_is_not_a_gateways_own_request_is_refused_without_a_redirect(
    signed_in, authorize, change
):
    answer = authorize(**change)
    assert answer.status_code == 400
    assert "Location" not in answer


def test_a_person_locked_in_between_gets_no_session(signed_in, authorize, exchange, cast):
    code = code_of(authorize())
    accounts.lock_user(cast.mira, by=cast.ada)
    assert exchange(code).status_code == 400


@pytest.fixture
def revoke(center, client):
    def _revoke(token, credential=None):
        user = f"{center.gateway.pk.hex}:{credential or center.credential}"
        basic = base64.b64encode(user.encode()).decode()
        return client.post("/oauth/revoke", token, headers={"Authorization": f"Basic {basic}"})

    return _revoke


def test_a_gateway_ends_a_session_of_its_own(signed_in, authorize, exchange, revoke):
    token = exchange(code_of(authorize())).json()["access_token"]
    session = GatewaySession.objects.get()
    assert revoke({"token": token}).status_code == 200
    assert not GatewaySession.objects.exists()
    assert Notice.objects.get().value == session.pk.hex
    assert revoke({"token": token}).status_code == 200, "RFC 7009: it is over, as wanted"


@pytest.mark.row(4)
def test_another_gateways_session_is_not_its_to_end(signed_in, authorize, exchange, revoke, center):
    token = exchange(code_of(authorize())).json()["access_token"]
    other, _ = actions.enroll_gateway("south", center.row, "http://south.test", by=None)
    GatewaySession.objects.update(gateway=other)
    assert revoke({"token": token}).status_code == 200
    assert revoke({"token": token}, credential="wrong").status_code == 401
    assert revoke({}).status_code == 400
    assert GatewaySession.objects.exists()
