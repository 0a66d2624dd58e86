"""A list costs as many queries with many rows as with few."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import actions as accounts
from datacenters import gateways
from projects import actions
from projects.models import AppInstance, Project


@pytest.fixture
def more(center, cast):
    """Add projects of Mira with a team each; every second one has a node and running apps."""

    def _more(numbers):
        for number in numbers:
            row = actions.create_project(cast.mira, f"project-{number}", visibility="public")
            actions.set_role(row, "edda", "editor", by=cast.mira)
            actions.set_role(row, "vera", "viewer", by=cast.mira)
            if number % 2:
                for person in (cast.mira, cast.edda):
                    actions.start_app(row, "lab", by=person)
        AppInstance.objects.update(state="running")

    return _more


def count(client, path):
    client.get(path)  # what is read once per process or visit
    gateways._known = (0.0, [])
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path)
    assert answer.status_code == 200
    return len(queries)


PAGES = ["/", "/?tab=public", "/?tab=shared", "/explore/", "/explore/?q=project", "/running/",
         "/manage/", "/manage/apps", "/manage/projects", "/manage/users", "/manage/audit",
         "/manage/data-centers"]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_no_more_for_more_rows(path, more, cast):
    accounts.set_administrator(cast.edda, administrator=True, by=None)
    client = Client()
    client.force_login(cast.edda)
    more(range(4))
    few = count(client, path)
    more(range(4, 16))
    for number in range(8):
        accounts.create_user(f"person-{number}", by=None)
    assert count(client, path) == few
    assert Project.objects.count() == 16


@pytest.mark.parametrize("path", ["projects", "projects?search=project"])
def test_a_list_over_rest_asks_no_more_for_more_rows(path, more, cast):
    _, secret = accounts.create_token(cast.edda, "t", ["api"], by=cast.edda)
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    more(range(4))
    few = count(client, f"/api/v1/{path}")
    more(range(4, 16))
    assert count(client, f"/api/v1/{path}") == few


@pytest.mark.parametrize(
    "path", ["/mira/project-1", "/mira/project-1/settings/team", "/mira/project-1/activity"]
)
def test_a_project_asks_no_more_for_a_larger_team(path, more, cast):
    more([1])
    client = Client()
    client.force_login(cast.mira)
    few = count(client, path)
    row = Project.objects.get()
    for number in range(12):
        accounts.create_user(f"person-{number}", by=None)
        actions.set_role(row, f"person-{number}", "editor", by=cast.mira)
    assert count(client, path) == few
