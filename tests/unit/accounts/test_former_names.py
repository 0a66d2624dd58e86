"""The name of somebody who was removed does not come back as somebody else."""

import importlib

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from accounts import actions
from accounts.errors import Conflict, Invalid
from accounts.models import AuditEntry, FormerName, User

pytestmark = pytest.mark.row(19)


@pytest.fixture
def gone(cast):
    """Otto, who owned nothing, is removed."""
    actions.delete_user(cast.otto, by=cast.ada)
    return "otto"


def test_the_name_of_a_removed_person_is_refused_with_its_mend(gone):
    with pytest.raises(Conflict, match="Choose another name") as caught:
        actions.create_user(gone, by=None)
    assert "aen_user free otto" in caught.value.detail
    assert caught.value.field == "username"
    assert not User.objects.filter(username=gone).exists()


def test_the_account_of_a_removed_person_is_kept_as_their_name_is(cast):
    User.objects.filter(pk=cast.otto.pk).update(unix_account="otto-old")
    actions.delete_user(User.objects.get(pk=cast.otto.pk), by=cast.ada)
    for name in ("otto", "otto-old"):
        with pytest.raises(Conflict):
            actions.create_user(name, by=None)


def test_an_administrator_frees_a_name_and_it_is_audited(gone, cast):
    actions.free_name(gone, by=cast.ada)
    assert actions.create_user(gone, by=cast.ada).username == gone
    assert AuditEntry.objects.filter(verb="account.free_name", target=gone, actor=cast.ada).exists()


def test_a_name_that_was_nobodys_cannot_be_freed(cast):
    with pytest.raises(Invalid, match="not the name of somebody who was removed"):
        actions.free_name("mira", by=cast.ada)


def test_the_command_frees_a_name(gone, capsys):
    with pytest.raises(CommandError, match="free it first"):
        call_command("aen_user", "add", gone)
    call_command("aen_user", "free", gone)
    assert "Freed otto" in capsys.readouterr().out
    call_command("aen_user", "add", gone)


def test_the_page_for_adding_people_says_it_too(gone, cast, client):
    client.force_login(cast.ada)
    page = client.post("/admin-site/accounts/user/add/", {"username": gone, "first_name": ""})
    assert "is removed" in page.content.decode()
    assert not User.objects.filter(username=gone).exists()


def test_people_who_were_removed_before_are_found_in_the_audit_log(gone, cast):
    FormerName.objects.all().delete()
    AuditEntry.objects.create(actor_name="ada", verb="account.remove", target="mira")
    migration = importlib.import_module("accounts.migrations.0003_former_names")
    migration.keep_earlier_names(apps, None)
    assert [str(row) for row in FormerName.objects.all()] == ["otto"]
