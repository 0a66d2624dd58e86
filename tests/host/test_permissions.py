"""The permission pass on real files of real accounts: each rule as its user meets it."""

import os
import socket
import stat
import subprocess
import threading

import pytest
from node_client import as_user, until
from team import getfacl, snapshot

from compute_agent.host import acl, permissions
from compute_agent.host.permissions import secure

pytestmark = pytest.mark.host


@pytest.mark.rule(2)
def test_the_directory_has_exactly_the_teams_entries(team):
    team.secure()
    entries = [entry for entry in getfacl(team.path) if not entry.startswith("default:")]
    assert sorted(entries) == sorted([
        "user::rwx", f"user:{team.uids[team.edda]}:rwx", f"user:{team.uids[team.vera]}:r-x",
        "group::rwx", "mask::rwx", "other::--x",
    ])  # fmt: skip


@pytest.mark.rule(15)
def test_an_editor_writes_and_a_viewer_only_reads(team):
    file = team.make("notes/plan.txt")
    team.secure()
    assert team.may(team.edda, "write", file)
    assert team.may(team.edda, "make", file.parent / "new.txt")
    assert team.may(team.vera, "read", file)
    assert not team.may(team.vera, "write", file)
    assert not team.may(team.vera, "make", file.parent / "other.txt")


@pytest.mark.rule(5)
def test_others_pass_through_to_public_and_see_nothing_else(team):
    secret = team.make("notes/plan.txt")
    shown = team.make("public/deep/page.txt")
    team.secure()
    assert team.may(team.otto, "read", shown)
    assert team.may(team.otto, "list", shown.parent)
    assert not team.may(team.otto, "write", shown)
    assert not team.may(team.otto, "list", team.path)
    assert not team.may(team.otto, "read", secret)
    assert not team.may(team.otto, "list", secret.parent)


@pytest.mark.rule(4)
def test_public_is_writable_by_the_team(team):
    shown = team.make("public/page.txt")
    team.secure()
    assert team.may(team.edda, "write", shown)
    assert not team.may(team.vera, "write", shown)


@pytest.mark.row(18)
@pytest.mark.rule(4)
def test_a_public_that_is_a_link_opens_nothing(team):
    secret = team.make("notes/plan.txt")
    (team.path / "public").symlink_to("notes")
    team.secure()
    assert not team.may(team.otto, "read", secret)


@pytest.mark.rule(3)
def test_a_members_new_file_is_the_teams_at_once(team):
    team.make("notes/first.txt")
    team.secure()
    new = team.path / "notes/edda.txt"
    assert as_user(team.edda, "sh", "-c", f"echo hers > {new}", umask="077")[0] == 0
    assert team.may(team.mira, "write", new)
    assert team.may(team.vera, "read", new)
    assert not team.may(team.otto, "read", new)


@pytest.mark.rule(3)
def test_execute_follows_the_owners_execute(team):
    script = team.make("run.sh", "#!/bin/sh\nexit 0\n", mode=0o700)
    plain = team.make("plain.sh", "#!/bin/sh\nexit 0\n", mode=0o600)
    team.secure()
    assert team.may(team.edda, "run", script)
    assert not team.may(team.edda, "run", plain)
    assert stat.S_IMODE(plain.stat().st_mode) == 0o660


@pytest.mark.rule(17)
def test_a_second_pass_writes_nothing(team):
    team.make("notes/plan.txt")
    team.make("notes/edda.txt", owner=team.edda)
    team.make("public/page.txt")
    team.make("run.sh", mode=0o755)
    team.secure()
    before = snapshot(team.path)
    outcome = team.secure()
    assert outcome.changed == 0
    assert snapshot(team.path) == before


@pytest.mark.rule(14)
def test_a_shrunk_mask_is_repaired(team):
    file = team.make("plan.txt")
    team.secure()
    file.chmod(0o600)
    assert not team.may(team.edda, "write", file)
    team.secure()
    assert team.may(team.edda, "write", file)


@pytest.mark.rule(12)
def test_a_removed_member_keeps_no_entry(team):
    file = team.make("notes/plan.txt")
    team.secure()
    team.secure(members=acl.named([(team.uids[team.vera], 5)]))
    assert not team.may(team.edda, "read", file)
    entries = getfacl(file) + getfacl(file.parent) + getfacl(team.path)
    assert not [entry for entry in entries if f":{team.uids[team.edda]}:" in entry]


@pytest.mark.rule(6)
def test_files_of_root_stay_as_they_are(team):
    outside = team.place / "shared.py"
    outside.write_text("shared")
    outside.chmod(0o644)
    os.link(outside, team.path / "shared.py")
    (team.path / "roots").mkdir(mode=0o750)
    before = snapshot(team.path)
    team.secure()
    after = snapshot(team.path)
    for entry in (team.path / "shared.py", team.path / "roots"):
        assert after[str(entry)] == before[str(entry)]
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


@pytest.mark.rule(6)
def test_files_of_the_service_account_stay_as_they_are(team):
    file = team.make("service.txt", owner=team.otto)
    before = snapshot(team.path)[str(file)]
    team.secure(spared=frozenset({0, team.uids[team.otto]}))
    assert snapshot(team.path)[str(file)] == before


@pytest.mark.rule(7)
@pytest.mark.row(18)
def test_a_hard_link_to_somebody_elses_file_outside_is_left_alone_and_reported(team):
    outside = team.place / "private.txt"
    outside.write_text("otto's")
    os.chown(outside, team.uids[team.otto], team.uids[team.otto])
    outside.chmod(0o600)
    os.link(outside, team.path / "innocent.txt")
    outcome = team.secure()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600
    assert not team.may(team.mira, "read", outside)
    assert outcome.notes == ["innocent.txt is a hard link to a file outside the project"]


def test_a_members_hard_links_inside_the_project_are_the_teams(team):
    file = team.make("objects/one", owner=team.edda)
    os.link(file, file.with_name("two"))
    outcome = team.secure()
    assert team.may(team.mira, "write", file)
    assert outcome.notes == []


@pytest.mark.rule(8)
def test_a_link_is_not_followed(team):
    outside = team.place / "passwd"
    outside.write_text("root's")
    outside.chmod(0o600)
    (team.path / "innocent").symlink_to(outside)
    (team.path / "folder").symlink_to(team.place)
    team.secure()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o600
    assert stat.S_IMODE(team.place.stat().st_mode) == 0o711


@pytest.mark.rule(8)
@pytest.mark.row(18)
def test_a_directory_swapped_for_a_link_while_the_pass_runs_leads_nowhere(team):
    """The victim's tree lies beside the project; a pass that is led there would open it."""
    victim = team.place / "victim"
    for number in range(50):
        path = victim / str(number) / "key"
        path.parent.mkdir(parents=True)
        path.write_text("private")
        os.chown(path, team.uids[team.otto], team.uids[team.otto])
        path.chmod(0o600)
        team.make(f"swap/{number}/key")
    swap, aside = team.path / "swap", team.path / "aside"
    done = threading.Event()

    def swapping():
        while not done.is_set():
            swap.rename(aside)
            swap.symlink_to(victim)
            swap.unlink()
            aside.rename(swap)

    attacker = threading.Thread(target=swapping)
    attacker.start()
    try:
        for _ in range(60):
            team.secure()
    finally:
        done.set()
        attacker.join()
    assert {stat.S_IMODE(p.stat().st_mode) for p in victim.glob("*/key")} == {0o600}


@pytest.mark.rule(8)
@pytest.mark.row(18)
def test_fifos_sockets_and_devices_are_left_alone(team):
    os.mkfifo(team.path / "fifo", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(team.path / "socket"))
    os.mknod(team.path / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    before = snapshot(team.path)
    team.secure()
    after = snapshot(team.path)
    for name in ("fifo", "socket", "null"):
        assert after[str(team.path / name)] == before[str(team.path / name)]


@pytest.mark.rule(8)
def test_a_mount_point_is_not_entered(team):
    mounted, elsewhere = team.path / "mounted", team.place / "elsewhere"
    mounted.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").write_text("not the project's")
    os.chown(elsewhere / "file", team.uids[team.otto], -1)
    if subprocess.run(["mount", "--bind", elsewhere, mounted], capture_output=True).returncode:
        pytest.skip("this machine does not allow a bind mount")
    try:
        before = snapshot(elsewhere)
        outcome = team.secure()
        assert snapshot(elsewhere) == before
        assert outcome.notes == ["mounted is a mount point"]
    finally:
        subprocess.run(["umount", mounted], check=True)


@pytest.mark.rule(9)
def test_odd_names_are_names(team):
    for name in (b"new\nline", b"\xff\xfe latin", b"n" * 255, b" ", b"-rf"):
        path = os.path.join(os.fsencode(team.path), name)
        with open(path, "wb"):
            pass
        os.chown(path, team.uids[team.mira], -1)
    assert team.secure().changed == 6
    assert team.secure().changed == 0


@pytest.mark.row(18)
def test_a_file_with_setuid_loses_it(team):
    program = team.make("tool", mode=0o4755)
    team.secure()
    assert not program.stat().st_mode & stat.S_ISUID


def test_a_pass_can_be_cancelled(team):
    team.make("notes/plan.txt")
    cancelled = threading.Event()
    cancelled.set()
    fd = os.open(team.path, os.O_RDONLY)
    try:
        with pytest.raises(permissions.Cancelled):
            secure(fd, team.rules, cancelled)
    finally:
        os.close(fd)


@pytest.mark.rule(11)
def test_without_a_private_group_the_group_gets_nothing(team):
    file = team.make("plan.txt")
    team.secure(group=None, members=())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(team.path.stat().st_mode) == 0o701


@pytest.mark.rule(16)
def test_a_file_system_without_access_lists_is_named(small_node, people, place):
    """A start stops with the mount and the mend; without a team nobody need be named."""
    disk = place / "projects"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "-o", "mode=0711", "ramfs", disk]).returncode:
        pytest.skip("this machine does not allow a file system to be mounted")
    try:
        mira, member = people(), {"account": people(), "access": "rwx"}
        app_id = small_node.launch("web", mira, members=[member])[0]
        status = small_node.wait(app_id, "failed")
        assert f"{disk} keeps no access lists" in status["cause"]
        assert f"mount -o remount,acl {disk}" in status["mend"]
        small_node.stop(small_node.run("web", mira, "alone"))
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.rule(12)
def test_a_changed_team_is_applied_to_the_project(small_node, people):
    mira, edda = people(), people()
    member = {"account": edda, "access": "rwx"}
    app = small_node.run("web", mira, members=[member])
    readme = small_node.project(mira) / "README.md"
    assert as_user(edda, "cat", readme)[0] == 0
    project = {"owner": mira, "name": "demo", "owner_account": mira, "members": []}
    assert small_node.command(type="secure", project=project)[0] == 202
    until(lambda: as_user(edda, "cat", readme)[0] != 0, "the former member is shut out")
    assert small_node.status(app)["state"] == "running"
