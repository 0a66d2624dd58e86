"""Somebody swaps what a pass looks at, as fast as they can, for things that are not theirs.

The attacker has a process and an account of their own, and may write to all of the project. What
they put in place of a file or folder: links to a victim's files and folders, hard links to the
victim's file, FIFOs. Afterwards the victim's inodes are as they were, in all that a pass could
change.
"""

import ctypes
import os
import pwd
import signal

import pytest
from team import snapshot

from compute_agent.host.permissions import Pass, whole

pytestmark = [pytest.mark.host, pytest.mark.rule(8), pytest.mark.row(18)]

PASSES = 10_000
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def victim(team):
    """Otto's folder beside the project: closed, and with a file that can be linked."""
    folder = team.place / "victim"
    for path in (folder, folder / "deep"):
        path.mkdir()
    for name in ("key", "deep/key"):
        (folder / name).write_text("private")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, team.uids[team.otto], team.uids[team.otto])
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def swap(project, victim, ready):
    """Swap for ever: each thing with each trap and back, so that each is there half of the time."""
    os.chdir(project)
    os.symlink(victim, "to-folder")
    os.symlink(victim / "deep/key", "to-file")
    os.mkfifo("fifo")
    pairs = [
        ("swap", "to-folder"), ("folder/file", "to-file"), ("swap", "spare"), ("swap", "fifo"),
        ("folder/file", "linked"), ("folder/file", "fifo"), ("folder", "to-folder"),
        ("swap/deep", "to-folder"), ("swap/deep", "linked"),
    ]  # fmt: skip
    while True:
        for one, other in pairs:
            for _ in range(20):
                exchange(one, other)
                exchange(one, other)
        if ready is not None:
            os.write(ready, b"x")
            ready = None


def exchange(one, other):
    """Have two names change places, at once."""
    here, exchanging = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if LIBC.renameat2(here, one.encode(), here, other.encode(), exchanging):
        raise OSError(ctypes.get_errno(), f"{one} and {other} did not change places")


def state(victim):
    """All that a pass could change; the linked file's time of change moves with its links."""
    found = snapshot(victim)
    linked = str(victim / "key")
    return found | {linked: (*found[linked][:3], os.lstat(linked).st_nlink, found[linked][4])}


def under_attack(team, victim, work):
    """Call ``work`` while Edda swaps; return how the victim's inodes were before and are now."""
    for name in ("swap/deep/key", "swap/key", "folder/file", "spare/key"):
        team.make(name)
    # As if links to what is not one's own were possible here, which many kernels refuse.
    os.link(victim / "key", team.path / "linked")
    before = state(victim)
    team.secure()
    ready, tell = os.pipe()
    attacker = os.fork()
    if attacker == 0:
        try:
            does_for_ever(team.edda, swap, team.path, victim, tell)
        finally:
            os._exit(1)
    ended = (0, 0)
    try:
        os.close(tell)
        assert os.read(ready, 1) == b"x", "the attack did not begin"
        work()
        ended = os.waitpid(attacker, os.WNOHANG)
        assert ended == (0, 0), "the attack ended too early"
    finally:
        os.close(ready)
        if ended == (0, 0):
            os.kill(attacker, signal.SIGKILL)
            os.waitpid(attacker, 0)
    return before, state(victim)


def does_for_ever(name, function, *arguments):
    entry = pwd.getpwnam(name)
    os.setgroups([entry.pw_gid])
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    function(*arguments)


@pytest.mark.rule(7)
def test_ten_thousand_passes_under_attack_change_no_foreign_inode(team, victim):
    def passes():
        with team.opened() as fd:
            for number in range(PASSES):
                # Some have to write to every entry that they meet.
                members = team.rules.members[: 1 + number // 5 % 2]
                Pass(fd, team.rules._replace(members=members)).rest()

    before, after = under_attack(team, victim, passes)
    assert after == before


def test_passes_with_other_processes_under_attack_change_no_foreign_inode(
    team, victim, monkeypatch
):
    monkeypatch.setattr(whole, "_SMALL", 0)

    def passes():
        for _ in range(20):
            team.secure()

    before, after = under_attack(team, victim, passes)
    assert after == before
