"""What somebody with a shell in a project may try to get more by the permission pass than is theirs."""

import contextlib
import ctypes
import os
import stat
import subprocess
from functools import partial
from pathlib import Path

import pytest
import tree_actions
from acting import Acting
from node_client import as_user, until

from compute_agent.host import accounts, acl
from compute_agent.host.expected import Asked
from compute_agent.host.explanation import explain
from compute_agent.host.permissions import Rules, secure
from compute_agent.protocol import Explain, ProjectSpec

pytestmark = pytest.mark.host
SETGID = stat.S_ISGID | stat.S_IXGRP


@pytest.fixture
def edda(team):
    """A process of the editor's, who attacks."""
    acting = Acting(team.uids[team.edda], team.uids[team.edda])
    yield acting
    acting.end()


def runs_with_the_owners_group(path, team):
    info = os.stat(path)
    return info.st_gid == team.rules.group and info.st_mode & SETGID == SETGID


@pytest.mark.row(18)
@pytest.mark.parametrize("mode", [0o2744, 0o2755, 0o2700, 0o6755])
def test_a_members_setgid_program_never_has_the_owners_group(team, monkeypatch, mode):
    """Not even between two steps of the pass: that group opens all projects of the owner."""
    program = team.make("tool", owner=team.edda)
    program.chmod(mode)
    seen = []
    for name in ("chown", "chmod", "setxattr"):

        def watched(real, *arguments):
            real(*arguments)
            seen.append(runs_with_the_owners_group(program, team))

        monkeypatch.setattr(os, name, partial(watched, getattr(os, name)))
    team.secure()
    assert seen
    assert not any(seen)
    assert not program.stat().st_mode & (stat.S_ISUID | stat.S_ISGID)


@pytest.mark.row(18)
def test_an_owners_setuid_program_is_never_the_teams_to_run(team, monkeypatch):
    program = team.make("tool")
    program.chmod(0o4700)
    seen = []
    for name in ("chown", "chmod", "setxattr"):

        def watched(real, *arguments):
            real(*arguments)
            mode = program.stat().st_mode
            seen.append(bool(mode & stat.S_ISUID and mode & 0o011))

        monkeypatch.setattr(os, name, partial(watched, getattr(os, name)))
    team.secure()
    assert seen
    assert not any(seen)


@pytest.mark.row(18)
def test_a_member_cannot_make_a_program_that_has_the_owners_group(team, edda):
    team.make("notes/plan.txt")
    team.secure()
    made = []
    for number, mode in enumerate((0o2755, 0o2777, 0o6755, 0o2744)):
        path = team.path / f"notes/tool{number}"
        edda.does(tree_actions.write, path, mode)
        made.append(path)
        with contextlib.suppress(PermissionError):
            edda.does(os.chmod, path, mode)
        assert not runs_with_the_owners_group(path, team)
    team.secure()
    assert not any(runs_with_the_owners_group(path, team) for path in made)


@pytest.mark.row(18)
def test_setgid_set_again_and_again_while_passes_run_gains_nothing(team, edda):
    """She gives the files back to her own group and sets setgid, as fast as she can."""
    files = [team.make(f"tools/{number}", owner=team.edda, mode=0o744) for number in range(20)]
    own = team.uids[team.edda]
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(own)
        os.setuid(own)
        while True:
            for file in files:
                with contextlib.suppress(OSError):
                    os.chown(file, -1, own)
                    os.chmod(file, 0o2744)
    try:
        for _ in range(150):
            team.secure()
            assert not [file for file in files if runs_with_the_owners_group(file, team)]
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


@pytest.mark.rule(12)
@pytest.mark.row(18)
def test_files_without_room_for_a_list_do_not_keep_a_former_member_in(team, edda):
    """She drops the lists of many files of hers and takes their room; then she is removed."""
    for number in range(30):
        team.make(f"a/{number}", owner=team.edda)
    secrets = [team.make(f"b{number}/deep/secret.txt") for number in range(10)]
    team.secure()
    for number in range(30):
        edda.does(tree_actions.strip, team.path / f"a/{number}")
        edda.does(fill, team.path / f"a/{number}")
    for _ in range(2):
        with contextlib.suppress(OSError):
            team.secure(members=acl.named([(team.uids[team.vera], 5)]))
    assert edda.tries([(secret, False) for secret in secrets]) == ["---"] * 10


def fill(path):
    """Take all the room that the file has for attributes."""
    for number in range(200):
        for size in (3000, 500, 50, 1):
            with contextlib.suppress(OSError):
                os.setxattr(path, f"user.{number}.{size}", b"x" * size)
                break
        else:
            return


@pytest.mark.rule(13)
@pytest.mark.row(18)
def test_a_restricted_file_is_not_opened_by_moving_it_into_a_project_of_ones_own(team, edda):
    secret = team.make("notes/secret.txt")
    override = team.override("notes/secret.txt", team.edda, "---")
    team.secure(overrides=(override,))
    assert edda.tries([(secret, False)]) == ["---"]
    own = team.place / "own"
    own.mkdir(mode=0o770)
    os.chown(own, edda.uid, edda.uid)
    moved = own / "secret.txt"
    edda.does(os.rename, secret, moved)
    for _ in range(2):
        fd = os.open(own, os.O_RDONLY)
        try:
            secure(fd, Rules(edda.uid, edda.uid, ((team.uids[team.vera], 5),), frozenset({0})))
        finally:
            os.close(fd)
        assert edda.tries([(moved, False)]) == ["---"]


@pytest.fixture
def unprotected_links():
    """Let everybody link to files that they may not write, as kernels may be set up."""
    setting = Path("/proc/sys/fs/protected_hardlinks")
    before = setting.read_text()
    try:
        setting.write_text("0")
    except OSError:
        pytest.skip("this machine does not allow fs.protected_hardlinks to be changed")
    yield
    setting.write_text(before)


@pytest.mark.rule(7)
@pytest.mark.row(18)
@pytest.mark.parametrize("whose", ["mira", "otto", "vera"])
def test_links_to_private_files_open_nothing_where_anybody_may_make_them(
    team, edda, unprotected_links, whose
):
    name = getattr(team, whose)
    outside = team.place / "private.txt"
    outside.write_text("private")
    os.chown(outside, team.uids[name], team.uids[name])
    outside.chmod(0o600)
    team.make("notes/plan.txt")
    team.secure()
    edda.does(os.link, outside, team.path / "notes/innocent.txt")
    edda.does(os.link, outside, team.path / "notes/another.txt")
    for _ in range(3):
        team.secure()
        assert edda.tries([(outside, False)]) == ["---"]
        assert stat.S_IMODE(outside.stat().st_mode) == 0o600
    assert "hard link" in str(team.secure().notes)


@pytest.mark.rule(12)
def test_a_former_member_keeps_nothing_of_an_access_list_made_by_hand(team, edda):
    plan = team.make("notes/plan.txt")
    team.secure()
    subprocess.run(["setfacl", "-m", f"u:{edda.uid}:rwx,d:u:{edda.uid}:rwx", plan.parent])
    subprocess.run(["setfacl", "-m", f"u:{edda.uid}:rw", plan])
    team.secure(members=acl.named([(team.uids[team.vera], 5)]))
    assert edda.tries([(plan, False), (plan.parent, True)]) == ["---", "--x"]


@pytest.mark.rule(12)
@pytest.mark.rule(15)
def test_a_former_member_keeps_nothing_of_what_they_made(team, edda):
    team.secure()
    edda.does(os.mkdir, team.path / "hers")
    edda.does(tree_actions.write, team.path / "hers/old.txt", 0o600)
    team.secure(members=acl.named([(team.uids[team.vera], 5)]))
    new = team.make("new.txt")
    new.rename(team.path / "hers/new.txt")
    team.secure(members=acl.named([(team.uids[team.vera], 5)]))
    assert edda.tries([(team.path / "hers", True), (team.path / "hers/old.txt", False)]) == [
        "--x", "---",
    ]  # fmt: skip


@pytest.mark.row(18)
def test_a_list_of_very_many_names_is_replaced(team):
    plan = team.make("notes/plan.txt")
    names = ",".join(f"u:{60000 + number}:rwx" for number in range(400))
    subprocess.run(["setfacl", "-m", names, plan], check=True)
    team.secure()
    listed = acl.decode(os.getxattr(plan, acl.ACCESS))
    assert {number for tag, _, number in listed if tag == acl.USER} == {
        team.uids[team.edda], team.uids[team.vera],
    }  # fmt: skip


@pytest.mark.row(18)
def test_a_sparse_file_of_any_size_costs_nothing(team):
    plan = team.make("notes/huge")
    with plan.open("r+b") as file:
        file.truncate(2**40)
    team.secure()
    assert as_user(team.edda, "test", "-w", plan)[0] == 0


@pytest.fixture
def silent(team):
    """A folder on which a FUSE file system is mounted, open to root, whose program never answers."""
    place = team.make("notes/mounted/below").parent
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC) if os.path.exists("/dev/fuse") else -1
    options = f"fd={fuse},rootmode=40000,user_id=61104,group_id=61104,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if fuse < 0 or libc.mount(b"x", os.fsencode(place), b"fuse", 6, options):
        pytest.skip("FUSE is not usable here")
    yield fuse, place
    os.close(fuse)  # whoever waits for an answer gets an error
    subprocess.run(["umount", "-l", place], check=True)


def ends(fuse, work):
    """Do ``work`` in a process that can be killed; say whether it came to its end."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(fuse)
            work()
            status = 0
        finally:
            os._exit(status)
    try:
        until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), "an end", 20)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        status = os.waitpid(pid, 0)[1]
    return status == 0


@pytest.mark.rule(8)
@pytest.mark.row(18)
def test_a_mount_whose_program_never_answers_keeps_no_pass_waiting(team, silent):
    def work():
        assert team.secure().notes == ["notes/mounted is a mount point"]

    assert ends(silent[0], work)


@pytest.mark.row(18)
def test_a_mount_whose_program_never_answers_keeps_no_question_waiting(team, silent):
    def work():
        for path in ("notes/mounted", "notes/mounted/below"):
            question = Explain("0" * 32, ProjectSpec("mira", "demo", team.mira), team.edda, path)
            account = accounts.existing(team.edda, "")
            fd = os.open(team.path, os.O_RDONLY)
            answer = explain(fd, Asked(question, account, team.rules.owner, team.rules.spared))
            assert answer.kind == "other"
            assert answer.cause.startswith("notes/mounted is a mount point of another file system")

    assert ends(silent[0], work)


@pytest.mark.rule(12)
@pytest.mark.row(18)
def test_a_mark_set_by_hand_does_not_keep_a_former_member_in(team, edda):
    """She marks folders as if another project restricted them, before she is removed."""
    secret = team.make("hers/deep/secret.txt")
    other = team.make("theirs/deep/secret.txt")
    os.chown(team.path / "hers", edda.uid, -1)
    team.secure()
    for folder in ("hers", "theirs"):
        edda.does(os.setxattr, team.path / folder, "user.aen.override", b"o/p:" + b"a" * 32)
    for _ in range(2):
        team.secure(members=acl.named([(team.uids[team.vera], 5)]))
        assert edda.tries([(secret, False), (other, False)]) == ["---", "---"]
