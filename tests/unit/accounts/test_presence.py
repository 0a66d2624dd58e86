"""When people were last seen: exact to a minute, at one write a minute."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import actions
from accounts.models import User
from projects import actions as projects


@pytest.fixture
def mira(cast):
    client = Client()
    client.force_login(cast.mira)
    return client


def seen():
    return User.objects.get(username="mira").last_seen


def was_seen(**ago):
    User.objects.filter(username="mira").update(last_seen=timezone.now() - timedelta(**ago))


def updates(queries):
    return [q["sql"] for q in queries if q["sql"].startswith("UPDATE") and "last_seen" in q["sql"]]


def test_any_page_counts(mira, project):
    mira.get("/mira/forecast")
    assert seen() is not None


def test_it_is_written_once_a_minute(mira, project):
    with CaptureQueriesContext(connection) as queries:
        for _ in range(4):
            mira.get("/running/")
    assert len(updates(queries)) == 1
    was_seen(minutes=2)
    mira.get("/running/")
    assert timezone.now() - seen() < timedelta(seconds=30)


def test_a_page_that_refreshes_itself_is_nobody(mira, project):
    mira.get("/mira/forecast/workspace", headers={"HX-Request": "true"})
    assert seen() is None


def test_a_script_is_not_its_person(cast):
    _, secret = actions.create_token(cast.mira, "nightly", ["api"], by=cast.mira)
    Client().get("/api/v1/projects", headers={"Authorization": f"Bearer {secret}"})
    assert seen() is None


def test_whoever_comes_back_by_another_page_still_reads_the_news_at_home(mira, project, cast):
    mira.get("/")
    was_seen(hours=9)
    projects.update_project(project, by=cast.max, summary="Intra-day load")
    mira.get("/running/")
    assert "Since you were last here" in mira.get("/").content.decode()
