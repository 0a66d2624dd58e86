import pytest

from accounts import actions, tokens
from accounts.errors import Conflict, Invalid
from accounts.models import ApiToken, AuditEntry, User


@pytest.mark.parametrize(
    "name", ["", "x", "Mira", "1st", "a" * 33, "mira_b", "mira.b", "mïra", "mira\n", "../etc", "-a"]
)
def test_a_name_outside_the_rule_is_refused_and_the_field_named(db, name):
    with pytest.raises(Invalid) as caught:
        actions.create_user(name, by=None)
    assert caught.value.field == "username"


@pytest.mark.parametrize("name", ["admin-site", "api", "root", "static", "accounts"])
def test_a_reserved_name_is_refused(db, name):
    with pytest.raises(Invalid, match="reserved"):
        actions.create_user(name, by=None)


def test_a_name_that_is_taken_is_a_conflict(cast):
    with pytest.raises(Conflict, match="mira"):
        actions.create_user("mira", by=None)


def test_a_weak_password_is_refused_and_nobody_is_added(db):
    with pytest.raises(Invalid) as caught:
        actions.create_user("mira", by=None, password="12345")
    assert caught.value.field == "password"
    assert not User.objects.exists()


@pytest.mark.row(24)
def test_a_token_is_recognised_by_its_secret_and_kept_only_as_a_digest(cast):
    _, secret = actions.create_token(cast.mira, "laptop", ["api"], by=cast.mira)
    assert tokens.find(secret, "api").user == cast.mira
    assert secret not in str(ApiToken.objects.values_list())


def test_a_token_opens_only_its_scopes(cast):
    _, secret = actions.create_token(cast.mira, "laptop", ["api"], by=cast.mira)
    assert tokens.find(secret, "apps") is None


def test_a_locked_persons_token_opens_nothing(cast):
    _, secret = actions.create_token(cast.mira, "laptop", ["api"], by=cast.mira)
    actions.lock_user(cast.mira, by=cast.ada)
    assert tokens.find(secret, "api") is None


def test_an_administrator_cannot_lock_themself_out(cast):
    with pytest.raises(Invalid):
        actions.lock_user(cast.ada, by=cast.ada)


def test_every_change_is_audited_without_its_secret(cast):
    _, secret = actions.create_token(cast.mira, "laptop", ["api"], by=cast.mira)
    entry = AuditEntry.objects.get(verb="token.create")
    assert (entry.actor, entry.target) == (cast.mira, "laptop")
    assert secret not in str(entry.detail)


def test_audit_entries_outlive_the_people_they_name(cast):
    actions.lock_user(cast.otto, by=cast.ada)
    actions.set_administrator(cast.max, administrator=True, by=cast.ada)
    actions.delete_user(cast.ada, by=None)
    entry = AuditEntry.objects.get(verb="account.lock")
    assert (entry.actor, entry.actor_name) == (None, "ada")
