"""What goes into a database comes out of it, on each of the three."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError
from django.db.models import Count, F, Q
from django.utils import timezone

from accounts import actions as accounts
from accounts.models import ApiToken, AuditEntry, Job, SignInAttempts, User
from projects import actions
from projects.models import AppInstance, Project

pytestmark = pytest.mark.django_db(transaction=True)

ODD = "ä ß \u2028 \U0001f600 ' \" \\ %_ $set a.b {} \n"


def test_a_row_comes_back_as_it_was_written(cast):
    at = timezone.now().replace(microsecond=123_000)
    detail = {"text": ODD, "list": [1, 2.5, None, True, {"deep": []}], "large": 2**53, "none": None}
    row = AuditEntry.objects.create(
        actor=cast.mira, actor_name="mira", verb="odd", target=ODD, detail=detail, at=at,
        project_id=uuid.uuid4(),
    )  # fmt: skip
    again = AuditEntry.objects.get(pk=row.pk)
    names = ("pk", "actor_id", "verb", "target", "detail", "at", "project_id")
    assert [getattr(again, name) for name in names] == [getattr(row, name) for name in names]


def test_the_largest_numbers_fit(project, cast):
    row = actions.start_app(project, "lab", by=cast.mira)
    AppInstance.objects.filter(pk=row.pk).update(
        memory=2**63 - 1, revision=2**63 - 1, processors=0.1
    )
    row.refresh_from_db()
    assert (row.memory, row.revision, row.processors) == (2**63 - 1, 2**63 - 1, 0.1)


def test_what_is_unique_is_there_once(cast):
    with pytest.raises(IntegrityError):
        User.objects.create(username="mira", unix_account="other")
    assert User.objects.filter(username="mira").count() == 1


def test_a_pair_that_is_unique_may_share_one_half(project, cast):
    with pytest.raises(IntegrityError):
        Project.objects.create(owner=cast.mira, name="forecast", data_center=project.data_center)
    Project.objects.create(owner=cast.otto, name="forecast", data_center=project.data_center)
    assert Project.objects.filter(name="forecast").count() == 2


@pytest.mark.parametrize(
    ("typed", "found"),
    [("a.c", ["a.c"]), ("A.C", ["a.c"]), ("(", ["(b"]), ("100%", ["100% x"]), ("x", ["100% x", "axc"]),
     ("[", []), ("$", []), ("\\", []), ("", ["a.c", "(b", "100% x", "axc"])],
)  # fmt: skip
def test_a_search_means_each_letter_as_it_is_typed(typed, found, cast, center):
    for number, text in enumerate(["a.c", "axc", "(b", "100% x"]):
        actions.create_project(cast.mira, f"p-{number}", summary=text)
    rows = Project.objects.filter(Q(summary__icontains=typed) | Q(owner__username=typed))
    assert sorted(row.summary for row in rows) == sorted(found)


def test_null_is_neither_less_nor_equal_to_anything(cast, center):
    now = timezone.now()
    for number, at in enumerate([None, now, now - timedelta(days=1)]):
        Job.objects.create(kind=str(number), started_at=at)
    kinds = Job.objects.order_by("kind").values_list("kind", flat=True)
    assert list(kinds.filter(started_at__lt=now)) == ["2"]
    assert list(kinds.filter(started_at=None)) == ["0"]
    assert list(kinds.exclude(started_at=None)) == ["1", "2"]
    assert list(kinds.exclude(Q(started_at__gte=now) | Q(attempts__gt=3))) == ["0", "2"]


def test_rows_are_counted_by_what_they_belong_to(project, cast):
    actions.start_app(project, "lab", by=cast.mira)
    actions.start_app(project, "terminal", by=cast.mira)
    actions.start_app(project, "lab", by=cast.edda)
    active = Count("instances", filter=Q(instances__state="requested"))
    assert Project.objects.annotate(apps=active).get().apps == 3
    rows = AppInstance.objects.order_by().values_list("app").annotate(Count("pk"))
    assert dict(rows) == {"lab": 2, "terminal": 1}
    assert AppInstance.objects.values("user").distinct().count() == 2


def test_a_change_reads_the_column_it_changes_and_says_how_many_rows_it_found(cast):
    row = SignInAttempts.objects.create(key="k", count=4, at=timezone.now())
    assert SignInAttempts.objects.filter(key="k").update(count=F("count") + 1) == 1
    assert SignInAttempts.objects.filter(key="k").update(count=5) == 1  # it was 5 already
    assert SignInAttempts.objects.filter(key="k", count=4).update(count=9) == 0
    row.refresh_from_db()
    assert row.count == 5


def test_what_hangs_on_a_row_goes_with_it_and_what_names_it_stays(cast):
    accounts.create_token(cast.otto, "a script", ["api"], by=cast.otto)
    cast.otto.groups.add(Group.objects.create(name="night-shift"))
    accounts.delete_user(cast.otto, by=cast.ada)
    assert not ApiToken.objects.exists()
    assert not User.groups.through.objects.exists()
    entry = AuditEntry.objects.get(verb="token.create")
    assert (entry.actor, entry.actor_name) == (None, "otto")


def test_slices_and_orders_are_those_that_were_asked_for(cast):
    names = User.objects.order_by("-username").values_list("username", flat=True)
    assert list(names[1:3]) == ["otto", "mira"]
    assert User.objects.order_by("username").first().username == "ada"
    assert names.count() == 6
    assert not User.objects.filter(pk__in=[]).exists()
    assert User.objects.none().count() == 0
