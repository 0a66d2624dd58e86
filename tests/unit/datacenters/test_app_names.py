"""The server's side of apps with names of their own: enrolling, links, sign-in, forms."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.errors import Invalid
from datacenters import actions, gateways
from datacenters.oauth import Client as OAuthClient
from projects import catalog
from projects.actions import start_app
from projects.models import AppInstance

STARRED = "https://*.apps.test:8443"


@pytest.fixture
def starred(center, monkeypatch):
    actions.move_gateway(center.gateway, STARRED, by=None)
    monkeypatch.setattr(gateways, "_known", (-timedelta.max.total_seconds(), []))
    return center.gateway


def test_links_to_apps_name_each_apps_own_host(starred, project, cast):
    row = start_app(project, "lab", by=cast.mira)
    AppInstance.objects.filter(pk=row.pk).update(state="running")
    row.refresh_from_db()
    assert catalog.url(row) == "https://lab--forecast--mira.apps.test:8443/mira/forecast/lab/"


def test_people_sign_in_at_the_gateways_own_name(starred):
    client = OAuthClient(starred)
    assert client.check_redirect_uri("https://apps.test:8443/-/callback")
    for uri in (f"{STARRED}/-/callback", "https://lab--forecast--mira.apps.test:8443/-/callback"):
        assert not client.check_redirect_uri(uri)


def test_the_form_to_sign_in_may_end_at_any_app(starred):
    policy = Client().get("/accounts/login/")["Content-Security-Policy"]
    assert f"form-action 'self' {STARRED} https://apps.test:8443" in policy


@pytest.mark.parametrize(
    "url",
    ["http://*.apps.test", "https://*.*.test", "https://a.*.test", "https://*", "https://*.",
     "https://*apps.test"],
)  # fmt: skip
def test_a_star_that_keeps_nothing_apart_is_refused(center, url):
    with pytest.raises(Invalid):
        actions.move_gateway(center.gateway, url, by=None)
