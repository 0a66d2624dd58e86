"""How many queries it takes to do what is done most, on each of the three databases."""

from functools import partial

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts import actions as accounts
from compute_agent.protocol import AppStatus
from projects import access, actions, reconciler, reports
from projects.models import AppInstance, Project

pytestmark = pytest.mark.django_db(transaction=True)

#: What begins and ends transactions, in the words of each database.
AROUND = ("BEGIN", "COMMIT", "session.")


def cost(act):
    """Return how many queries it takes, not counting those that begin and end transactions."""
    with CaptureQueriesContext(connection) as queries:
        act()
    return sum(not query["sql"].startswith(AROUND) for query in queries)


@pytest.fixture
def lived_in(center, cast):
    """Projects of Mira with a team each, and apps that run in every second one."""
    for number in range(4):
        row = actions.create_project(cast.mira, f"project-{number}", visibility="public")
        actions.set_role(row, "edda", "editor", by=cast.mira)
        actions.set_role(row, "vera", "viewer", by=cast.mira)
        if number % 2:
            for person in (cast.mira, cast.edda):
                actions.start_app(row, "lab", by=person)
    AppInstance.objects.update(state="running")
    rows = Project.objects.select_related("owner", "node", "data_center")
    access.may(cast.edda, row, "view")  # what is read once per process
    return rows.get(name="project-1")


def test_whether_somebody_may_do_something(lived_in, cast):
    assert cost(lambda: access.may(cast.mira, lived_in, "edit")) == 0  # the owner
    assert cost(lambda: access.may(cast.edda, lived_in, "edit")) == 2


def test_the_list_of_ones_projects(lived_in, cast):
    _, secret = accounts.create_token(cast.edda, "t", ["api"], by=cast.edda)
    client = Client(headers={"Authorization": f"Bearer {secret}"})
    client.get("/api/v1/projects")
    assert cost(lambda: client.get("/api/v1/projects")) == 7


def test_signing_in(lived_in):
    who = {"username": "edda", "password": "edda-Secret-1"}
    Client().post("/accounts/login/", who)
    assert cost(lambda: Client().post("/accounts/login/", who)) == 10


def test_an_app_from_its_start_to_its_end(lived_in, cast, center):
    begun = []
    assert cost(lambda: begun.append(actions.start_app(lived_in, "terminal", by=cast.mira))) == 8
    [row] = begun
    assert cost(lambda: list(reconciler.due(center.row.pk))) == 5

    costs = []
    for revision, state in enumerate(["preparing", "starting", "running", "stopped"], 1):
        report = AppStatus(row.pk.hex, revision, state)
        costs.append(cost(partial(reports.take, center.node, report)))
    assert costs == [3, 3, 4, 5]
    assert AppInstance.objects.get(pk=row.pk).state == "stopped"
