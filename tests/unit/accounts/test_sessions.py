"""Sessions of browsers: what the database holds of them, and what that is good for."""

import asyncio
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.sessions.backends import db as plain
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from accounts import actions, sessions
from accounts.sessions import SessionStore, stored


def browser(user=None, key=None):
    client = Client()
    if user is not None:
        client.force_login(user)
    if key is not None:
        client.cookies["aen_session"] = key
    return client


def is_signed_in(client):
    return client.get("/running/").status_code == 200


def words_of_the_database():
    """Every text in every table, as a thief of a backup reads them."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            for row in cursor.fetchall():
                yield from map(str, row)


@pytest.mark.row(24)
def test_with_a_copy_of_the_database_nobody_can_use_a_session(cast):
    mira = browser(cast.mira)
    assert is_signed_in(mira)
    found = set(words_of_the_database())
    key = mira.cookies["aen_session"].value
    assert not [word for word in found if key in word]
    assert stored(key) in found
    keys = [word for word in found if word.isascii() and word.isalnum() and len(word) >= 32]
    assert not [word for word in keys if is_signed_in(browser(key=word))]
    assert is_signed_in(mira)


@pytest.mark.parametrize("end", ["lock", "everywhere", "password", "sign_out"])
@pytest.mark.row(17)
def test_what_ends_a_session_still_does(end, cast):
    mira, edda = browser(cast.mira), browser(cast.edda)
    if end == "lock":
        actions.lock_user(cast.mira, by=cast.ada)
        actions.unlock_user(cast.mira, by=cast.ada)
    elif end == "everywhere":
        actions.sign_out_everywhere(cast.mira, by=cast.ada)
    elif end == "password":
        actions.set_password(cast.mira, "quite-New-Words-9", by=cast.ada)
    else:
        mira.post("/accounts/logout/")
    assert not is_signed_in(mira)
    assert is_signed_in(edda)
    assert Session.objects.count() == 1


def test_a_browser_that_is_signed_in_stays_so_over_the_upgrade(cast):
    old = plain.SessionStore()
    old.update(browser(cast.mira).session.items())
    old.save()
    assert not is_signed_in(browser(key=old.session_key))
    import_module("accounts.migrations.0004_session_digests").hide(apps, None)
    assert is_signed_in(browser(key=old.session_key))
    assert not Session.objects.filter(pk=old.session_key).exists()


def test_a_session_is_found_changed_given_a_new_key_and_deleted(db):
    session = SessionStore()
    session["here"] = 1
    session.save()
    first = session.session_key
    assert SessionStore(first)["here"] == 1
    assert SessionStore().exists(first)
    session.cycle_key()
    assert session.session_key != first
    assert SessionStore(first).get("here") is None
    assert SessionStore(session.session_key)["here"] == 1
    session.flush()
    assert not Session.objects.exists()


def test_an_expired_session_is_none(db):
    session = SessionStore()
    session.set_expiry(-1)
    session["here"] = 1
    session.save()
    assert SessionStore(session.session_key).get("here") is None


def test_the_worker_forgets_sessions_that_have_expired_and_no_others(db):
    kept = SessionStore()
    for session, seconds in ((kept, 60), (SessionStore(), -1)):
        session["here"] = 1
        session.set_expiry(seconds)
        session.save()
    sessions.prune()
    assert [row.pk for row in Session.objects.all()] == [stored(kept.session_key)]


@pytest.mark.django_db(transaction=True)
def test_the_same_from_asynchronous_code():
    async def use():
        session = SessionStore()
        await session.aset("here", 1)
        await session.asave()
        again = SessionStore(session.session_key)
        assert await again.aget("here") == 1
        assert await again.aexists(session.session_key)
        await again.adelete()
        assert not await again.aexists(session.session_key)

    asyncio.run(use())
