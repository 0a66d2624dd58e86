"""A site's data in one file: what is in it, what is not, and what may be done with it."""

import gzip
import io
import json
import re
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import default_token_generator
from django.contrib.contenttypes.models import ContentType
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import actions as accounts
from accounts.models import AuditEntry, Job, User
from aen_site.backup import file, site, tables
from projects import access, actions
from projects.models import AppInstance, Project

HOUR = timedelta(hours=1)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lived_in(project, cast, center):
    """A site with something of everything."""
    group = Group.objects.create(name="analysts")
    cast.otto.groups.add(group)
    role = access.role_permissions().get(codename="role_viewer")
    apps.get_model("guardian.GroupObjectPermission").objects.create(
        group=group, permission=role, object_pk=str(project.pk),
        content_type=ContentType.objects.get_for_model(Project),
    )  # fmt: skip
    row = actions.start_app(project, "lab", by=cast.mira)
    AppInstance.objects.filter(pk=row.pk).update(
        log=["printed: hunter2"], processors=1.0, progress=[{"step": "ready", "seconds": 0.25}]
    )
    Job.objects.create(kind="note", payload={"deep": [1, 2.0, None, "é"]})
    actions.set_override(project, "vera", "data", "r-x", by=cast.mira)


def backup():
    stream = io.BytesIO()
    sums = site.backup(stream)
    return stream.getvalue(), sums


def empty_the_database():
    call_command("flush", interactive=False, verbosity=0)


def lines(packed):
    return [json.loads(line) for line in gzip.decompress(packed).splitlines()]


def pack(changed):
    return gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in changed))


def test_every_table_is_kept_or_left_out_for_a_reason():
    there = {model._meta.label for model in apps.get_models(include_auto_created=True)}
    assert {*tables.KEPT} | {*tables.LEFT_OUT} == there
    assert not {*tables.KEPT} & {*tables.LEFT_OUT}


def test_what_was_backed_up_is_there_again(lived_in, cast):
    packed, written = backup()
    empty_the_database()
    restored = site.restore(io.BytesIO(packed))
    assert (restored.counts, restored.digest) == (written.counts, written.digest)
    project = Project.objects.get(owner__username="mira", name="forecast")
    roles = {user.username: role for user, role in access.team(project)}
    assert roles == {
        "mira": "owner", "max": "manager", "edda": "editor", "vera": "viewer", "otto": "viewer",
    }  # fmt: skip
    assert User.objects.get(username="mira").check_password("mira-Secret-1")
    assert Job.objects.get(kind="note").payload == {"deep": [1, 2.0, None, "é"]}
    assert AuditEntry.objects.get(verb="project.create").actor.username == "mira"
    assert AppInstance.objects.get().progress == [{"step": "ready", "seconds": 0.25}]


def test_a_change_of_one_row_changes_the_digest(lived_in):
    before = site.held()
    AuditEntry.objects.filter(verb="project.create").update(target="mira/forecasts")
    after = site.held()
    assert before.counts == after.counts
    assert before.digest != after.digest


@pytest.mark.row(24)
def test_a_stolen_backup_holds_nothing_that_opens_a_door(lived_in, cast, center, settings):
    _, token = accounts.create_token(cast.mira, "t", ["api"], by=cast.mira)
    browser = Client()
    browser.force_login(cast.mira)
    key = browser.cookies["aen_session"].value
    link = accounts.password_link(cast.otto, by=None)
    stolen = gzip.decompress(backup()[0]).decode()
    words = set(re.findall(r"[\w-]{16,}", stolen))
    secrets = [token, key, center.credential, link.split("/")[-2], settings.SECRET_KEY]
    assert not [secret for secret in [*secrets, "hunter2"] if secret in stolen]
    for word in words:  # digests that it holds are no keys either
        thief = Client(headers={"Authorization": f"Bearer {word}"})
        assert thief.get("/api/v1/projects").status_code == 401
    assert browser.get("/running/").status_code == 200


@pytest.mark.row(24)
def test_a_restored_site_knows_no_session_and_no_link_of_before(lived_in, cast):
    browser = Client()
    browser.force_login(cast.mira)
    User.objects.filter(last_login__isnull=False).update(last_login=timezone.now() - HOUR)
    links = [(user.pk, default_token_generator.make_token(user)) for user in User.objects.all()]
    packed, _ = backup()
    empty_the_database()
    site.restore(io.BytesIO(packed))
    assert browser.get("/running/").status_code == 302
    for pk, link in links:
        assert not default_token_generator.check_token(User.objects.get(pk=pk), link)


def test_a_backup_goes_into_an_empty_database_only(lived_in):
    packed, written = backup()
    with pytest.raises(site.Refused, match="empty"):
        site.restore(io.BytesIO(packed))
    assert site.held().digest == written.digest


def _cut(rows):
    return rows[:-1]


def _another_name(rows):
    row = next(row for row in rows if isinstance(row, list) and "forecast" in row)
    row[row.index("forecast")] = "forecasts"
    return rows


def _short_row(rows):
    rows[-2].pop()
    return rows


def _unknown_table(rows):
    rows[-2][0] = 99
    return rows


def _unknown_permission(rows):
    row = rows[-2]
    row[1] = ["projects", "project", "role_emperor"]
    return rows


def _twice(rows):
    return [*rows[:-2], rows[2], *rows[-2:]]


def _other_version(rows):
    rows[0]["migrations"]["projects"] = "9999_from_the_future"
    return rows


@pytest.mark.parametrize(
    "change",
    [_cut, _another_name, _short_row, _unknown_table, _unknown_permission, _twice, _other_version],
)
def test_of_a_backup_that_is_not_whole_nothing_is_restored(change, lived_in):
    packed, _ = backup()
    empty_the_database()
    with pytest.raises((site.Refused, file.Damaged)):
        site.restore(io.BytesIO(pack(change(lines(packed)))))
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "content", [b"", b"no backup", gzip.compress(b"{}\n", mtime=0), b"\x1f\x8b\x08"]
)
def test_what_is_no_backup_is_refused_in_one_line(content, db, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CommandError, match=r"^Nothing was restored") as refused:
        call_command("aen_restore", str(tmp_path / "file"))
    assert "\n" not in str(refused.value)


def test_a_backup_overwrites_nothing_and_follows_no_link(db, tmp_path):
    (tmp_path / "there").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("there", "link", "no/such/folder"):
        with pytest.raises(CommandError):
            call_command("aen_backup", str(tmp_path / name))
    assert (tmp_path / "there").read_text() == "kept"
    assert not (tmp_path / "elsewhere").exists()


def test_a_backup_that_fails_leaves_no_file(db, tmp_path, monkeypatch):
    monkeypatch.setattr(site, "_all_rows", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call_command("aen_backup", str(tmp_path / "file"))
    assert not (tmp_path / "file").exists()


@contextmanager
def in_parts(undo):
    """Fill a database as MongoDB is filled, which holds no transaction for so long."""
    try:
        yield
    except BaseException:
        undo()
        raise


def test_where_no_transaction_holds_all_of_it_what_was_written_is_taken_back(
    lived_in, monkeypatch, tmp_path
):
    packed, _ = backup()
    empty_the_database()
    monkeypatch.setattr(site, "filling", in_parts)
    with pytest.raises(file.Damaged):
        site.restore(io.BytesIO(pack(_cut(lines(packed)))))
    assert site.held().counts == {}
    site.refuse_a_part()


def test_a_part_of_a_backup_is_no_site_until_it_is_restored_again(lived_in, monkeypatch, tmp_path):
    packed, written = backup()
    empty_the_database()
    monkeypatch.setattr(site, "filling", lambda undo: nullcontext())  # nobody is there to undo it
    with pytest.raises(file.Damaged):
        site.restore(io.BytesIO(pack(_cut(lines(packed)))))
    assert User.objects.exists()
    set_up = ("--gateway-url=http://g", "--node-address=unix:/a", "--credential-file=c")
    for command, *given in (
        ("aen_setup", *set_up), ("aen_worker",), ("aen_backup", str(tmp_path / "file"))
    ):  # fmt: skip
        with pytest.raises(CommandError, match=r"part of a backup.*aen_restore FILE"):
            call_command(command, *given)
    assert not (tmp_path / "file").exists()
    restored = site.restore(io.BytesIO(packed))
    assert (restored.counts, restored.digest) == (written.counts, written.digest)
    site.refuse_a_part()
