"""A permission pass among entries that fail, vanish or never end, and in large trees."""

import ctypes
import errno
import os
import signal
import stat
import subprocess
import threading

import pytest
from team import snapshot

from compute_agent.host import acl
from compute_agent.host.permissions import Cancelled, Pass, entries, reach, walk, whole, workers
from compute_agent.host.process import all_stats

pytestmark = pytest.mark.host


def fail(number):
    def failing(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return failing


@pytest.fixture
def in_full(monkeypatch):
    """Have no file taken for one to which nothing but a list has to be written."""
    monkeypatch.setattr(walk.Walk, "_write_list", lambda *_: False)


@pytest.fixture
def by_many(monkeypatch):
    """Have other processes do the work, which they do otherwise only for large trees."""
    monkeypatch.setattr(whole, "_SMALL", 0)


# --- entries that fail ---


def test_a_mount_that_only_its_user_may_enter_stops_nothing(team):
    """A FUSE file system: not even root may look into one that a user mounted."""
    mounted, file = team.make("mounted/below").parent, team.make("plan.txt")
    fuse = os.open("/dev/fuse", os.O_RDWR) if os.path.exists("/dev/fuse") else -1
    uid = team.uids[team.edda]
    options = f"fd={fuse},rootmode=40000,user_id={uid},group_id={uid}".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if fuse < 0 or libc.mount(b"x", os.fsencode(mounted), b"fuse", 6, options):
        pytest.skip("FUSE is not usable here")
    try:
        with pytest.raises(PermissionError):
            os.open(mounted, os.O_RDONLY)
        outcome = team.secure()
        assert outcome.notes == ["mounted is a mount point"]
        assert team.may(team.edda, "write", file)
        os.close(fuse)  # its program ended: now every look fails in another way
        assert team.secure().notes == ["mounted is a mount point"]
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


def test_an_immutable_file_is_named_and_the_others_are_secured(team):
    fixed, file = team.make("a/fixed.txt"), team.make("a/plan.txt")
    if subprocess.run(["chattr", "+i", fixed], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        outcome = team.secure()
        assert outcome.notes == [
            "a/fixed.txt can't be changed (it is immutable, or not the node's)"
        ]
        assert outcome.failed == 1
        assert team.may(team.edda, "write", file)
    finally:
        subprocess.run(["chattr", "-i", fixed], check=True)


def test_what_lies_in_an_immutable_folder_is_secured(team):
    file = team.make("fixed/plan.txt")
    if subprocess.run(["chattr", "+i", file.parent], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        assert "fixed can't be changed" in team.secure().notes[0]
        assert f"user:{team.uids[team.edda]}:rw-" in subprocess.getoutput(f"getfacl -n {file}")
    finally:
        subprocess.run(["chattr", "-i", file.parent], check=True)


def test_an_access_list_that_does_not_fit_is_named(team):
    """ext4 keeps a list of some 500 names at most."""
    team.make("notes/plan.txt")
    many = acl.named((100_000 + number, 7) for number in range(6000))
    with pytest.raises(OSError, match=r"No space|too long|too large") as raised:
        team.secure(members=many)
    assert raised.value.errno in (errno.ENOSPC, errno.E2BIG)


def test_one_entry_without_room_does_not_stop_the_others(team, in_full, monkeypatch):
    team.make("a/plan.txt")
    file = team.make("b/plan.txt")
    real = entries.bring

    def bring(target, info, *rest, **named):
        if info.st_ino == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(target, info, *rest, **named)

    full = (team.path / "a/plan.txt").stat().st_ino
    monkeypatch.setattr(entries, "bring", bring)
    outcome = team.secure()
    assert outcome.notes == ["a/plan.txt is closed: there is no space for its access list"]
    assert stat.S_IMODE((team.path / "a/plan.txt").stat().st_mode) == 0o600
    assert team.may(team.edda, "write", file)


def test_what_comes_after_many_entries_without_room_is_secured_too(team, in_full, monkeypatch):
    for number in range(40):
        team.make(f"a/{number}.txt", mode=0o666)
    file = team.make("b/plan.txt")
    real, folder = entries.bring, f"{team.path}/a/"

    def bring(target, info, *rest, **named):
        if os.readlink(f"/proc/self/fd/{target}").startswith(folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(target, info, *rest, **named)

    monkeypatch.setattr(entries, "bring", bring)
    assert team.secure().failed == 40
    assert team.may(team.edda, "write", file)
    assert not team.may(team.edda, "read", team.path / "a/7.txt")


def test_the_directory_itself_has_to_be_secured(team, monkeypatch):
    monkeypatch.setattr(entries, "bring", fail(errno.EPERM))
    with pytest.raises(PermissionError):
        team.secure()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
def test_what_vanishes_while_it_is_looked_at_is_left_to_the_next_pass(
    team, in_full, monkeypatch, number
):
    team.make("notes/plan.txt")
    team.make("gone.txt")
    monkeypatch.setattr("compute_agent.host.permissions.walk.open_file", fail(number))
    outcome = team.secure()
    assert outcome.notes == []
    assert outcome.changed == 2


def test_a_file_that_cannot_be_opened_for_reading_is_changed_through_a_handle(team, monkeypatch):
    """Somebody holds a lease on it, for instance."""
    file = team.make("plan.txt")
    monkeypatch.setattr(reach, "FILE", reach.FILE | os.O_DIRECTORY)
    real = os.open

    def opening(path, flags, *rest, **named):
        if flags == reach.FILE:
            raise BlockingIOError(errno.EWOULDBLOCK, "leased")
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", opening)
    team.secure()
    assert team.may(team.edda, "write", file)


def test_a_writer_that_waits_for_a_reader_of_its_fifo_waits_on(team):
    os.mkfifo(team.path / "fifo", 0o600)
    before = snapshot(team.path)[str(team.path / "fifo")]
    team.secure()
    assert snapshot(team.path)[str(team.path / "fifo")] == before


def test_a_file_mounted_over_one_of_the_project_is_left_alone(team):
    file, other = team.make("plan.txt"), team.place / "other.txt"
    other.write_text("not the project's")
    os.chown(other, team.uids[team.otto], -1)
    if subprocess.run(["mount", "--bind", other, file], capture_output=True).returncode:
        pytest.skip("this machine does not allow a bind mount")
    try:
        outcome = team.secure()
        assert stat.S_IMODE(other.stat().st_mode) == 0o644
        assert outcome.notes == ["plan.txt is a mount point"]
    finally:
        subprocess.run(["umount", file], check=True)


@pytest.mark.rule(9)
def test_paths_in_notes_are_relative_and_on_one_line(team):
    outside = team.place / "private.txt"
    outside.write_text("otto's")
    os.chown(outside, team.uids[team.otto], -1)
    folder = os.path.join(os.fsencode(team.path), b"new\nline")
    os.mkdir(folder)
    os.link(outside, os.path.join(folder, b"\xff"))
    assert team.secure().notes == [r"new\nline/\udcff is a hard link to a file outside the project"]


def test_a_tree_deeper_than_any_path_is_left_alone_at_its_end(team):
    fds = [os.open(team.path, os.O_RDONLY)]
    try:
        for _ in range(320):
            os.mkdir("d" * 20, dir_fd=fds[-1])
            fds.append(os.open("d" * 20, os.O_RDONLY, dir_fd=fds[-1]))
    finally:
        for fd in fds:
            os.close(fd)
    outcome = team.secure()
    assert outcome.unchanged == reach.DEEPEST  # root's, so they are only looked at
    assert outcome.notes[0].endswith("lies more than 300 folders deep")


# --- in two parts ---


def test_what_a_person_waits_for_comes_first(team):
    for number in range(40):
        team.make(f"{number}/deep/file.txt")
    top = team.make("README.md")
    with team.opened() as fd:
        work = Pass(fd, team.rules)
        assert not work.first(0)
        assert team.may(team.edda, "write", top)
        assert work.looked_at == 2
        outcome = work.rest()
    assert outcome.changed == work.looked_at == 2 + 40 * 3
    assert team.may(team.edda, "write", team.path / "7/deep/file.txt")


def test_a_small_tree_is_done_at_once(team, monkeypatch):
    monkeypatch.setattr(whole, "Workers", fail(errno.EMFILE))
    file = team.make("notes/plan.txt")
    with team.opened() as fd:
        work = Pass(fd, team.rules)
        assert work.first(60)
        assert work.rest().changed == work.outcome.changed == 3
    assert team.may(team.edda, "write", file)


def test_the_rest_can_be_cancelled_and_repeated(team, by_many):
    for number in range(40):
        team.make(f"{number}/deep/file.txt")
    cancelled = threading.Event()
    with team.opened() as fd:
        work = Pass(fd, team.rules)
        work.first(0)
        cancelled.set()
        with pytest.raises(Cancelled):
            work.rest(cancelled)
    assert team.secure().changed + work.outcome.changed == 1 + 40 * 3
    assert team.secure().changed == 0


# --- other processes ---


def test_other_processes_do_what_one_does(team, by_many):
    for number in range(100):
        team.make(f"{number}/deep/{number}.txt")
        team.make(f"{number}/hers.txt", owner=team.edda)
    outcome = team.secure()
    assert outcome.changed == 1 + 100 * 4
    assert team.secure().changed == 0
    assert team.may(team.edda, "write", team.path / "77/deep/77.txt")
    assert team.may(team.mira, "write", team.path / "77/hers.txt")


def test_a_process_that_is_killed_leaves_its_part_to_the_others(team, by_many, monkeypatch):
    for number in range(100):
        team.make(f"{number}/deep/file.txt")
    real = workers.Workers.deal

    def deal(self, places):
        real(self, places)
        os.kill(self._all[0]._process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers.Workers, "deal", deal)
    team.secure()
    assert team.may(team.edda, "write", team.path / "77/deep/file.txt")
    assert team.secure().changed == 0


def test_all_processes_being_killed_leaves_the_work_to_us(team, by_many, monkeypatch):
    for number in range(100):
        team.make(f"{number}/deep/file.txt")
    real = workers.Workers.deal

    def deal(self, places):
        real(self, places)
        for worker in self._all:
            os.kill(worker._process.pid, signal.SIGKILL)

    monkeypatch.setattr(workers.Workers, "deal", deal)
    outcome = team.secure()
    assert outcome.changed + outcome.unchanged >= 1 + 100 * 3
    assert team.may(team.edda, "write", team.path / "77/deep/file.txt")


def test_no_process_and_no_descriptor_is_left(team, by_many):
    for number in range(30):
        team.make(f"{number}/deep/file.txt")
    before = os.listdir("/proc/self/fd"), children()
    team.secure()
    assert (os.listdir("/proc/self/fd"), children()) == before


def children():
    """Return the processes that this one has to wait for."""
    return {stat.pid for stat in all_stats() if stat.parent == os.getpid()}


def test_what_fails_in_another_process_is_known_here(team, by_many):
    for number in range(30):
        team.make(f"a/{number}.txt")
    os.chown(team.path, 0, 0)  # is left as it is, so the first to fail is in another process
    outcome = team.secure(members=acl.named((100_000 + number, 7) for number in range(6000)))
    assert outcome.failed == 31
    assert "no space for its access list" in outcome.notes[0]
