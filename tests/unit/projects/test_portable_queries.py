"""What MongoDB does not answer is refused in the tests on every database, however it is asked."""

import pytest

from accounts.models import ApiToken, User
from projects.models import AppInstance, Project
from tests import portable_queries
from tests.portable_queries import NotPortable

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """Take these tests for code of the site."""
    monkeypatch.setattr(portable_queries, "_package", lambda file: "tests" if "/_pytest/" in file
                        else "projects" if file == __file__ else "")  # fmt: skip


def of_mira():
    """Return rows that were filtered elsewhere, by which no reader would know."""
    return ApiToken.objects.filter(**{"user__" + "username": "mira"})


ASKED = {
    "an update across a join": lambda: of_mira().order_by().update(name="x"),
    "a delete across a join": lambda: of_mira().delete(),
    "a delete across a join of a second condition": lambda: (
        AppInstance.objects.filter(state="failed").exclude(project__owner__username="m").delete()
    ),
    "a prefetch of a many-to-many relation": lambda: list(User.objects.prefetch_related("gro" + "ups")),
    "one of a model beyond": lambda: list(Project.objects.prefetch_related("owner__" + "groups")),
    "SQL": lambda: User.objects.raw("SELECT 1"),
    "conflicts that are ignored": lambda: (
        User.objects.bulk_create([], **{"ignore_" + "conflicts": True})
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ASKED)
def test_it_refuses(what, project):
    with pytest.raises(NotPortable, match="test_portable_queries"):
        ASKED[what]()


def test_it_lets_pass_what_every_database_does(project):
    ApiToken.objects.filter(user=project.owner).update(name="x")
    ApiToken.objects.filter(user__pk=project.owner_id).delete()
    AppInstance.objects.filter(project__in=[project.pk]).update(state="failed")
    assert list(Project.objects.prefetch_related("data_center__nodes")) == [project]
