"""Accounts on the real machine: found, made, and refused."""

import contextlib
import ctypes
import grp
import json
import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest
from node_client import as_user, spec

from compute_agent.host.account_checks import person as check_person
from compute_agent.host.accounts import Accounts, existing
from compute_agent.host.errors import HostError
from compute_agent.host.project_groups import names

pytestmark = pytest.mark.host


@pytest.fixture
def accounts(place):
    return Accounts(place, "aen", True)


@pytest.fixture
def looked_at(place):
    """The accounts of a node whose site makes them."""
    return Accounts(place, "aen", False)


def change(*command):
    subprocess.run(command, check=True, capture_output=True)


def book(place):
    return json.loads((place / "accounts.json").read_text())


@pytest.mark.rule(11)
def test_a_missing_account_is_made_with_a_home_and_a_group_of_its_own(accounts, people):
    name = people()
    account = accounts.person(name)
    entry = pwd.getpwnam(name)
    assert account.uid == entry.pw_uid >= 1000
    assert account.group == entry.pw_gid == grp.getgrnam(name).gr_gid
    assert account.home == f"/home/{name}"
    assert Path(account.home).stat().st_uid == account.uid


def test_an_account_that_exists_is_not_changed(accounts, people):
    name = people(make=True)
    before = pwd.getpwnam(name)
    assert accounts.person(name).uid == before.pw_uid
    assert pwd.getpwnam(name) == before


def test_a_look_makes_and_writes_nothing(people, place):
    name = people()
    assert existing(name, "aen") is None
    assert not (place / "accounts.json").exists()


# --- who is refused -------------------------------------------------------------------------------


@pytest.mark.rule(10)
@pytest.mark.row(19)
@pytest.mark.parametrize("name", ["root", "daemon", "nobody", "www-data"])
def test_root_and_system_accounts_are_refused(accounts, people, name):
    with pytest.raises(HostError, match=f"do not run as {name}"):
        accounts.person(name)


@pytest.mark.rule(10)
def test_the_service_account_is_refused_whatever_its_uid(people, place):
    name = people(make=True)
    with pytest.raises(HostError, match="AEN's own account"):
        Accounts(place, name, True).person(name)
    with pytest.raises(HostError, match="AEN's own account"):
        check_person(pwd.getpwnam(name), name)


@pytest.mark.rule(10)
@pytest.mark.parametrize("account", ["root", "daemon", "service"])
def test_a_launch_as_root_a_system_account_or_the_nodes_own_is_refused(any_node, people, account):
    account = any_node.account if account == "service" else account
    app_id = any_node.launch("web", people(), account=account)[0]
    assert f"do not run as {account}: it is" in any_node.wait(app_id, "failed")["cause"]
    assert not any_node.processes(app_id)


@pytest.mark.rule(10)
def test_a_project_of_a_system_account_is_refused(small_node, people):
    mira = people()
    project = spec(mira) | {"owner_account": "daemon"}
    message = {"type": "launch", "app_id": "0" * 32, "app": "web", "account": mira,
               "url_prefix": f"/{mira}/demo/web/", "project": project}  # fmt: skip
    assert small_node.command(**message)[0] == 202
    assert "do not run as daemon" in small_node.wait("0" * 32, "failed")["cause"]
    assert not (small_node.root / mira).exists()


@pytest.mark.row(19)
def test_what_is_no_name_is_refused_by_the_node_itself(accounts, small_node):
    for name in ("1000", "0", "-rf", "a" * 33, "mira:0", "mira\nroot", "../mira", "", "mïra",
                 "ｍira", "Mira", "mira ", "$(id)"):  # fmt: skip
        with pytest.raises(HostError, match="cannot be named"):
            accounts.person(name)
        body = {"type": "launch", "app_id": "0" * 32, "app": "web", "account": name,
                "url_prefix": "/mira/demo/web/", "project": spec("mira")}  # fmt: skip
        assert small_node.command(**body)[0] == 422


@pytest.mark.row(19)
def test_a_long_name_is_not_cut(accounts, people):
    """Two names of 33 characters that begin alike must not become one account."""
    people()
    for end in "ab":
        with pytest.raises(HostError, match="cannot be named"):
            accounts.person("a" * 32 + end)
    with pytest.raises(KeyError):
        pwd.getpwnam("a" * 32)


@pytest.mark.row(19)
def test_a_name_that_the_system_takes_for_another_is_refused(accounts, people, monkeypatch):
    """As a directory service does that knows no capitals."""
    other = pwd.getpwnam(people(make=True))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: other)
    with pytest.raises(HostError, match=f"for the account {other.pw_name}"):
        accounts.person("mira")


@pytest.mark.row(19)
def test_two_names_of_one_account_are_both_refused(accounts, people):
    name, twin = people(make=True), people()
    uid = pwd.getpwnam(name).pw_uid
    change("useradd", "--non-unique", "--uid", str(uid), "--no-user-group", "--gid", name, twin)
    for one, other in ((name, twin), (twin, name)):
        with pytest.raises(HostError, match=f"account {one} is also {other}"):
            accounts.person(one)


def test_a_name_that_a_group_has_is_refused(accounts, people):
    name = people()
    change("groupadd", name)
    with pytest.raises(HostError, match="a group of that name"):
        accounts.person(name)


def test_a_home_that_is_left_from_another_is_given_to_nobody(accounts, people):
    name = people()
    home = Path("/home") / name
    home.mkdir(mode=0o700)
    try:
        with pytest.raises(HostError, match=f"there is a {home} already") as caught:
            accounts.person(name)
        assert str(home) in caught.value.mend
        with pytest.raises(KeyError):
            pwd.getpwnam(name)
    finally:
        home.rmdir()


# --- groups ---------------------------------------------------------------------------------------


@pytest.mark.rule(11)
def test_a_shared_primary_group_is_never_the_projects(accounts, people):
    name, other = people(make=True), people(make=True)
    change("usermod", "-aG", name, other)
    account = accounts.person(name)
    assert account.group != pwd.getpwnam(name).pw_gid
    assert grp.getgrgid(account.group).gr_name == f"aen-{name}"
    assert accounts.person(name) == account


@pytest.mark.rule(11)
def test_a_group_that_is_another_accounts_first_is_not_private(accounts, people):
    name, other = people(make=True), people()
    change("useradd", "--no-create-home", "--no-user-group", "--gid", name, other)
    for one in (name, other):
        account = accounts.owner(one)
        assert grp.getgrgid(account.group).gr_name == f"aen-{one}"


@pytest.mark.rule(11)
def test_who_shares_a_primary_group_sees_nothing_of_a_project(small_node, people):
    mira, otto = people(make=True), people()
    change("useradd", "--no-create-home", "--no-user-group", "--gid", mira, otto)
    small_node.run("web", mira)
    readme = small_node.project(mira) / "README.md"
    command = ["setpriv", f"--reuid={otto}", f"--regid={mira}", "--init-groups", "cat", readme]
    assert subprocess.run(command, capture_output=True).returncode != 0
    assert as_user(mira, "cat", readme)[0] == 0


# --- the book -------------------------------------------------------------------------------------


def test_every_account_is_written_down_for_the_node_alone(accounts, people, place):
    made, found = people(), people(make=True)
    uids = {name: accounts.person(name).uid for name in (made, found)}
    assert book(place)["accounts"] == uids
    assert stat.S_IMODE((place / "accounts.json").stat().st_mode) == 0o600


@pytest.mark.row(19)
def test_a_uid_is_not_used_again_after_a_deletion(accounts, people):
    first = accounts.person(people())
    change("userdel", "--remove", first.name)
    second = accounts.person(people())
    assert second.uid > first.uid


@pytest.mark.row(19)
def test_a_name_whose_account_got_another_uid_is_refused(accounts, people):
    name = people()
    former = accounts.person(name).uid
    change("usermod", "--uid", str(former + 7), name)
    with pytest.raises(HostError, match=f"has uid {former + 7} now and had {former}") as caught:
        accounts.person(name)
    assert f"--forget-account {name}" in caught.value.mend


@pytest.mark.row(19)
def test_a_uid_that_was_anothers_is_refused(accounts, people):
    former, later = people(), people()
    uid = accounts.person(former).uid
    change("userdel", "--remove", former)
    change("useradd", "--uid", str(uid), "--no-create-home", later)
    with pytest.raises(HostError, match=f"uid {uid}, which was {former}'s"):
        accounts.person(later)


@pytest.mark.row(19)
def test_an_account_that_was_deleted_is_not_made_again_by_itself(accounts, people):
    name = people()
    uid = accounts.person(name).uid
    change("userdel", "--remove", name)
    with pytest.raises(HostError, match=f"was deleted from this node; it had uid {uid}"):
        accounts.person(name)
    accounts.book.forget(name)
    assert accounts.person(name).uid != uid


def test_the_book_moves_with_the_nodes_state(accounts, people, place):
    name = people()
    uid = accounts.person(name).uid
    moved = place / "moved"
    moved.mkdir()
    (place / "accounts.json").rename(moved / "accounts.json")
    change("usermod", "--uid", str(uid + 7), name)
    with pytest.raises(HostError, match=f"had {uid}"):
        Accounts(moved, "aen", True).person(name)


def test_a_broken_book_stops_what_would_need_it(accounts, people, place):
    (place / "accounts.json").write_text("{")
    with pytest.raises(HostError, match=r"accounts\.json, cannot be read"):
        accounts.person(people())


def test_an_administrator_has_the_node_forget_an_account(small_node, people):
    mira = people()
    small_node.stop(small_node.run("web", mira))
    uid = pwd.getpwnam(mira).pw_uid
    change("usermod", "--uid", str(uid + 7), mira)
    change("chown", "-hR", f"--from={uid}", mira, small_node.project(mira))
    app_id = small_node.launch("web", mira)[0]
    assert f"had {uid}" in small_node.wait(app_id, "failed")["cause"]
    assert small_node.run_agent("--forget-account", mira) == 0
    small_node.run("web", mira)
    assert small_node.run_agent("--forget-account", "nobody-of-this-name") == 1


# --- a site that makes its accounts itself --------------------------------------------------------


def test_an_account_is_not_made_where_others_make_them(looked_at, people):
    name = people()
    with pytest.raises(HostError, match=f"no account {name}"):
        looked_at.person(name)
    with pytest.raises(KeyError):
        pwd.getpwnam(name)


def test_an_account_of_the_sites_is_taken_as_it_is(looked_at, people):
    name = people(make=True)
    assert looked_at.owner(name) == looked_at.of_app(name)


def test_each_lack_of_a_sites_account_is_named_with_its_mend(looked_at, people):
    name, other = people(make=True), people(make=True)
    home = Path(pwd.getpwnam(name).pw_dir)
    aside = home.rename(home.with_name(f"{name}-aside"))
    try:
        with pytest.raises(HostError, match="has no home") as caught:
            looked_at.of_app(name)
        assert str(home) in caught.value.mend
    finally:
        aside.rename(home)
    os.chown(home, pwd.getpwnam(other).pw_uid, -1)
    with pytest.raises(HostError, match="belongs to uid"):
        looked_at.of_app(name)
    os.chown(home, pwd.getpwnam(name).pw_uid, -1)
    change("usermod", "--shell", "/usr/sbin/nologin", name)
    with pytest.raises(HostError, match="may not log in"):
        looked_at.of_app(name)
    change("usermod", "--shell", "/bin/bash", name)
    assert looked_at.of_app(name).name == name


@pytest.mark.rule(11)
def test_a_sites_account_without_a_group_of_its_own_owns_no_project(looked_at, people):
    name, other = people(make=True), people(make=True)
    change("usermod", "-aG", name, other)
    assert looked_at.person(name).group is None
    with pytest.raises(HostError, match="no group of its own") as caught:
        looked_at.owner(name)
    group = caught.value.mend.rsplit(" ", 1)[1]
    change("groupadd", group)
    assert looked_at.owner(name).group == grp.getgrnam(group).gr_gid


def test_nothing_on_the_host_is_changed_for_a_site(looked_at, people, place):
    name = people(make=True)
    files = [Path("/etc") / name for name in ("passwd", "group", "shadow", "gshadow")]
    before = [path.stat().st_mtime_ns for path in files]
    looked_at.of_app(name)
    with pytest.raises(HostError):
        looked_at.person(people())
    with pytest.raises(HostError):
        looked_at.ensure_project_groups(name, "demo", [name], [])
    with pytest.raises(HostError):
        Accounts(place, "aen", False, people()).visitor()
    assert [path.stat().st_mtime_ns for path in files] == before


# --- visitors who did not sign in -----------------------------------------------------------------


@pytest.fixture
def visitors(people, place):
    return Accounts(place, "aen", True, people())


def test_the_account_of_visitors_has_no_login_no_home_and_its_own_group(visitors):
    account = visitors.visitor()
    entry = pwd.getpwnam(account.name)
    assert entry.pw_shell == "/usr/sbin/nologin"
    assert not Path(entry.pw_dir).exists()
    assert account.groups == (account.group,) == (entry.pw_gid,)


@pytest.mark.rule(10)
def test_the_account_of_visitors_is_no_person(visitors, people):
    name = visitors.visitor().name
    with pytest.raises(HostError, match=name):
        visitors.person(name)


def test_a_person_does_not_become_the_account_of_visitors(place, people):
    name, friend = people(make=True), people(make=True)
    Accounts(place, "aen", True).person(name)
    with pytest.raises(HostError, match="not one for visitors alone"):
        Accounts(place, "aen", True, name).visitor()
    change("usermod", "-aG", friend, people(make=True))
    shared = people(make=True)
    change("usermod", "-aG", friend, shared)
    with pytest.raises(HostError, match="shares groups"):
        Accounts(place, "aen", True, shared).visitor()


# --- groups of large teams ------------------------------------------------------------------------


@contextlib.contextmanager
def password_file():
    """Change the file of accounts itself, while no other program does."""
    libc, path = ctypes.CDLL(None), Path("/etc/passwd")
    assert libc.lckpwdf() == 0
    try:
        lines = path.read_text().splitlines(keepends=True)
        yield lines
        fresh = path.with_name("passwd.aen-test")
        fresh.write_text("".join(lines))
        fresh.chmod(0o644)
        fresh.replace(path)
    finally:
        libc.ulckpwdf()


@pytest.fixture
def crowd(people):
    """Three hundred accounts, which useradd would take too long to make."""
    base = people()
    names = [f"{base}c{number}" for number in range(300)]
    with password_file() as lines:
        lines += [f"{name}:x:{200_000 + number}:65534::/nonexistent:/bin/sh\n"
                  for number, name in enumerate(names)]  # fmt: skip
    yield names
    with password_file() as lines:
        lines[:] = [line for line in lines if not line.startswith(f"{base}c")]


@pytest.fixture
def grouped(accounts, people):
    """The accounts of a node, and the name of an owner whose projects' groups are removed."""
    owner = people()
    yield accounts, owner
    accounts.remove_project_groups(owner, "demo")
    accounts.remove_project_groups(owner, "other")


def test_a_large_team_is_in_two_groups_of_the_project(grouped, crowd):
    accounts, owner = grouped
    groups = accounts.ensure_project_groups(owner, "demo", crowd[:280], crowd[280:])
    editors, viewers = (grp.getgrgid(gid) for gid in groups)
    assert set(editors.gr_mem) == set(crowd[:280])
    assert set(viewers.gr_mem) == set(crowd[280:])
    assert len(editors.gr_name) <= 32
    assert accounts.ensure_project_groups(owner, "demo", crowd[:280], crowd[280:]) == groups
    assert accounts.project_groups(owner, "demo") == groups


def test_who_leaves_a_large_team_leaves_its_group(grouped, crowd):
    accounts, owner = grouped
    accounts.ensure_project_groups(owner, "demo", crowd, [])
    groups = accounts.ensure_project_groups(owner, "demo", crowd[1:299], crowd[299:])
    assert set(grp.getgrgid(groups.editors).gr_mem) == set(crowd[1:299])
    assert grp.getgrgid(groups.viewers).gr_mem == crowd[299:]
    assert accounts.ensure_project_groups(owner, "demo", crowd, []).viewers is None


def test_groups_of_a_removed_project_are_gone_and_their_ids_not_given_again(grouped, people):
    accounts, owner = grouped
    mira = people(make=True)
    former = accounts.ensure_project_groups(owner, "demo", [mira], [])
    accounts.remove_project_groups(owner, "demo")
    with pytest.raises(KeyError):
        grp.getgrgid(former.editors)
    later = accounts.ensure_project_groups(owner, "demo", [mira], [])
    assert later.editors > former.editors
    assert accounts.person(people()).uid > later.editors


def test_an_app_gets_the_groups_of_its_own_project_alone(grouped, people):
    """Else who was removed from a team kept its files open by an app of another project."""
    accounts, owner = grouped
    mira = people(make=True)
    demo = accounts.ensure_project_groups(owner, "demo", [mira], [])
    other = accounts.ensure_project_groups(owner, "other", [], [mira])
    everywhere = set(os.getgrouplist(mira, pwd.getpwnam(mira).pw_gid))
    assert {demo.editors, other.viewers} <= everywhere
    assert set(accounts.of_app(mira, demo.ids).groups) == everywhere - other.ids
    assert set(accounts.of_app(mira, other.ids).groups) == everywhere - demo.ids
    assert set(accounts.of_app(mira).groups) == everywhere - demo.ids - other.ids


def test_an_account_that_is_not_there_is_in_no_group(grouped, people):
    accounts, owner = grouped
    mira, nobody = people(make=True), people()
    with pytest.raises(HostError, match=f"no account {nobody}"):
        accounts.ensure_project_groups(owner, "demo", [mira, nobody], [])


def test_a_group_of_that_name_that_somebody_else_made_is_refused(accounts, people):
    owner, mira = people(), people(make=True)
    name = names((owner, "demo"))[0]
    change("groupadd", name)
    try:
        with pytest.raises(HostError, match="AEN did not make"):
            accounts.ensure_project_groups(owner, "demo", [mira], [])
    finally:
        change("groupdel", name)


def test_a_site_may_keep_the_groups_itself(looked_at, people):
    owner, mira = people(), people(make=True)
    name = names((owner, "demo"))[0]
    with pytest.raises(HostError, match="too large for access lists") as caught:
        looked_at.ensure_project_groups(owner, "demo", [mira], [])
    assert f"add the group {name}" in caught.value.mend
    change("groupadd", name)
    try:
        change("gpasswd", "-M", mira, name)
        groups = looked_at.ensure_project_groups(owner, "demo", [mira], [])
        assert groups.editors == grp.getgrnam(name).gr_gid
    finally:
        change("groupdel", name)
