"""Accounts on the real machine: found, made, and refused."""

import grp
import pwd
import subprocess

import pytest

from compute_agent.host.accounts import check_person, ensure_account
from compute_agent.host.errors import HostError

pytestmark = pytest.mark.host


def test_a_missing_account_is_made_with_a_home_and_a_group_of_its_own(people):
    name = people()
    account = ensure_account(name, "aen")
    entry = pwd.getpwnam(name)
    assert account.uid == entry.pw_uid >= 1000
    assert account.group == entry.pw_gid == grp.getgrnam(name).gr_gid
    assert account.home == f"/home/{name}"


def test_an_account_that_exists_is_not_changed(people):
    name = people(make=True)
    before = pwd.getpwnam(name)
    assert ensure_account(name, "aen").uid == before.pw_uid
    assert pwd.getpwnam(name) == before


def test_an_account_is_not_made_where_others_make_them(people):
    name = people()
    with pytest.raises(HostError, match=f"no account {name}"):
        ensure_account(name, "aen", create=False)


@pytest.mark.parametrize("name", ["root", "daemon", "nobody", "www-data"])
def test_system_accounts_are_refused(people, name):
    with pytest.raises(HostError, match=f"do not run as {name}"):
        ensure_account(name, "aen")


def test_the_service_account_is_refused_whatever_its_uid(people):
    name = people(make=True)
    with pytest.raises(HostError, match="AEN's own account"):
        ensure_account(name, name)
    twin = pwd.getpwnam(name)
    with pytest.raises(HostError, match="AEN's own account"):
        check_person(twin, name)


def test_a_name_that_a_group_has_is_refused(people):
    name = people()
    subprocess.run(["groupadd", name], check=True)
    with pytest.raises(HostError, match="a group of that name"):
        ensure_account(name, "aen")


def test_a_shared_primary_group_is_never_the_projects(people):
    name, other = people(make=True), people(make=True)
    subprocess.run(["usermod", "-aG", name, other], check=True)
    account = ensure_account(name, "aen")
    assert account.group != pwd.getpwnam(name).pw_gid
    assert grp.getgrgid(account.group).gr_name == f"aen-{name}"
    assert ensure_account(name, "aen") == account
