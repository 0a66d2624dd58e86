"""Guessing a password is slow from where it is guessed, and changes nothing elsewhere."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts import throttle
from accounts.models import AuditEntry, SignInAttempts

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.4"


def sign_in(name, password, address=HERE):
    client = Client(REMOTE_ADDR=address)
    return client.post("/accounts/login/", {"username": name, "password": password})


def guess(name="mira", address=HERE, times=throttle.FREE):
    for _ in range(times):
        answer = sign_in(name, "wrong", address)
    return answer


def wait(seconds=3600):
    """Let time pass, as the attempts see it."""
    for row in SignInAttempts.objects.all():
        row.at -= timedelta(seconds=seconds)
        row.blocked_until -= timedelta(seconds=seconds)
        row.save()


def request(address, **headers):
    return RequestFactory().get("/", REMOTE_ADDR=address, headers=headers)


@pytest.mark.row(17)
def test_after_five_guesses_also_the_right_password_has_to_wait(cast):
    assert guess().status_code == 422
    answer = sign_in("mira", "mira-Secret-1")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) >= 1
    assert "Wait" in answer.content.decode()


@pytest.mark.row(17)
def test_the_person_signs_in_from_elsewhere_as_ever(cast):
    guess(times=20)
    assert sign_in("mira", "mira-Secret-1", ELSEWHERE).status_code == 302


def test_others_sign_in_from_the_same_address(cast):
    guess()
    assert sign_in("otto", "otto-Secret-1").status_code == 302


def test_whoever_waits_may_try_again_and_then_begins_anew(cast):
    guess()
    wait()
    assert sign_in("mira", "mira-Secret-1").status_code == 302
    assert not SignInAttempts.objects.exists()


def test_each_further_guess_doubles_the_pause_up_to_a_quarter_of_an_hour(cast):
    pauses = []
    for _ in range(20):
        throttle.attempt(request(HERE), "mira")
        row = SignInAttempts.objects.get()
        pauses.append((row.blocked_until - row.at).total_seconds())
        wait()
    assert pauses[:9] == [0, 0, 0, 0, 1, 2, 4, 8, 16]
    assert pauses[-1] == throttle.LONGEST.total_seconds()


def test_a_name_that_does_not_exist_is_slowed_alike(cast):
    guess("nobody")
    assert sign_in("nobody", "x").status_code == 429


def test_it_is_audited_once_and_without_what_was_typed(cast):
    guess(times=3 * throttle.FREE)
    guess("my-password-in-the-wrong-field")
    rows = AuditEntry.objects.filter(verb="account.sign_in_slowed").order_by("at")
    assert [(row.target, row.detail) for row in rows] == [
        ("mira", {"client": HERE}),
        ("an unknown user name", {"client": HERE}),
    ]


def test_the_current_password_of_an_open_browser_cannot_be_guessed_either(cast):
    client = Client()
    client.force_login(cast.mira)
    new = {"password": "quite-New-Words-9", "again": "quite-New-Words-9"}
    for _ in range(throttle.FREE):
        client.post("/accounts/password", new | {"current": "wrong"})
    client.post("/accounts/password", new | {"current": "mira-Secret-1"})
    cast.mira.refresh_from_db()
    assert cast.mira.check_password("mira-Secret-1")


@pytest.mark.django_db(transaction=True)
def test_a_hundred_guesses_at_once_are_not_a_hundred_guesses(cast):
    passed, start = [], threading.Barrier(20)

    def one():
        start.wait()
        passed.append(throttle.attempt(request(HERE), "mira") == 0)
        connection.close()

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == throttle.FREE


def test_all_addresses_of_one_ipv6_network_are_one_client():
    one, two = (
        throttle.client_of(request("2001:db8::1")),
        throttle.client_of(request("2001:db8::2")),
    )
    assert one == two == "2001:db8::/64"
    assert throttle.client_of(request("::ffff:192.0.2.7")) == HERE


def test_attempts_are_forgotten_after_a_day(cast):
    guess()
    throttle.prune()
    assert SignInAttempts.objects.exists()
    SignInAttempts.objects.update(at=timezone.now() - 2 * throttle.FORGET)
    throttle.prune()
    assert not SignInAttempts.objects.exists()
