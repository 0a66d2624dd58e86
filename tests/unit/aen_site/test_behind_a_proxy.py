"""Who asks the server: claims count from trusted proxies alone, and not a bit more than they say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts import throttle
from accounts.models import SignInAttempts
from aen_site.middleware import BehindProxy

CHECKOUT = Path(__file__).parents[3]
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"
CLAIMS = {
    "X-Forwarded-For": f"10.0.0.1, {ELSEWHERE}", "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.test", "Forwarded": "for=10.0.0.1;proto=https",
}  # fmt: skip


@pytest.fixture
def seen(settings):
    """Return the request as pages find it."""

    def _seen(peer, trusted=("127.0.0.0/8", "unix"), **claims):
        settings.AEN_TRUSTED_PROXIES = trusted
        kept = []
        BehindProxy(lambda request: kept.append(request) or HttpResponse())(
            RequestFactory().get("/", REMOTE_ADDR=peer, headers=claims)
        )
        return kept[0]

    return _seen


@pytest.mark.row(6)
@pytest.mark.parametrize(
    ("peer", "trusted"), [(HERE, ("127.0.0.0/8", "unix")), ("127.0.0.1", ()), ("", ())]
)
def test_nobody_else_says_who_the_client_is(peer, trusted, seen):
    request = seen(peer, trusted, **CLAIMS)
    assert throttle.client_of(request) == peer
    assert not request.is_secure()
    assert request.get_host() == "testserver"
    assert not [name for name in request.META if "FORWARDED" in name]


@pytest.mark.parametrize("peer", ["127.0.0.1", ""])
def test_a_trusted_proxy_says_client_and_scheme(peer, seen):
    request = seen(peer, **CLAIMS)
    assert throttle.client_of(request) == ELSEWHERE
    assert request.is_secure()
    # The host is the proxy's to set in Host itself.
    assert request.get_host().removesuffix(":80") == "testserver"


def test_nonsense_is_the_proxys_own_address(seen):
    assert throttle.client_of(seen("127.0.0.1", **{"X-Forwarded-For": "<x>"})) == "127.0.0.1"


def test_guesses_are_counted_by_who_makes_them(cast):
    """Through the whole of the site: a claim does not make somebody another client."""
    for number in range(3):
        Client(REMOTE_ADDR=HERE, headers={"X-Forwarded-For": f"10.0.0.{number}"}).post(
            "/accounts/login/", {"username": "mira", "password": "wrong"}
        )
    assert SignInAttempts.objects.count() == 1


def settings_of(tmp_path, **variables):
    """Return what the settings say in a site that has these variables."""
    (tmp_path / "key").write_text("".join(map(chr, range(48, 110))))
    (tmp_path / "key").chmod(0o600)
    names = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME", "SESSION_COOKIE_SECURE",
             "AEN_TRUSTED_PROXIES")  # fmt: skip
    asked = f"from aen_site import settings as s; print([getattr(s, name) for name in {names}])"
    done = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, cwd=CHECKOUT, check=False,
        env={"PATH": os.defpath, "AEN_SECRET_KEY_FILE": str(tmp_path / "key")} | variables,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr


@pytest.mark.row(7)
def test_by_https_no_other_host_of_the_domain_can_set_our_cookies(tmp_path):
    by_https = settings_of(tmp_path, AEN_PUBLIC_URL="https://aen.test")
    assert by_https.startswith("['__Host-aen_session', '__Host-aen_csrf', True, ('127.0.0.0/8',")
    plain = settings_of(tmp_path)
    assert plain == "['aen_session', 'aen_csrf', False, ()]"


def test_what_is_no_proxys_address_stops_the_start(tmp_path):
    said = settings_of(tmp_path, AEN_TRUSTED_PROXIES="nginx.test")
    assert "ImproperlyConfigured: AEN_TRUSTED_PROXIES: 'nginx.test' does not appear" in said
