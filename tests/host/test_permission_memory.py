"""What a pass remembers of an unchanged tree, and when that must not count."""

import os
import subprocess
import time

import pytest
from node_client import until
from team import does, snapshot

from compute_agent.host import acl
from compute_agent.host.permissions import listing, walk

pytestmark = pytest.mark.host


@pytest.fixture
def memory(place):
    """The file in which passes over ``team`` remember what was right."""
    (place / "known").mkdir(mode=0o700)
    return place / "known/state"


@pytest.fixture
def opened(monkeypatch):
    """Paths below which a pass looked at files one by one, rather than trust what it knew."""
    found = []
    real = walk.Walk._files

    def files(self, fd, listing, path, context):
        found.append(path.decode())
        return real(self, fd, listing, path, context)

    monkeypatch.setattr(walk.Walk, "_files", files)
    return found


def settle(team):
    """Return once any further change of the tree has another time than the last one."""
    newest = max(found[3] for found in snapshot(team.path).values())
    until(lambda: time.time_ns() > newest + 2 * listing.TICK_NS, "the clock goes on")


def learn(team, memory, **changes):
    """Have all of the tree known to be right."""
    team.secure(known=memory, **changes)
    settle(team)
    team.secure(known=memory, **changes)


@pytest.mark.rule(17)
def test_a_known_tree_is_not_opened_file_by_file_and_not_written(team, memory, opened):
    team.make("notes/deep/plan.txt")
    team.make("public/page.txt")
    team.make("notes/edda.txt", owner=team.edda)
    learn(team, memory)
    before, state = snapshot(team.path), memory.read_bytes()
    opened.clear()
    outcome = team.secure(known=memory)
    assert opened == []
    assert (outcome.changed, outcome.unchanged) == (0, 7)
    assert snapshot(team.path) == before
    assert memory.read_bytes() == state
    assert memory.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("what", ["chmod", "setfacl", "chown", "new", "replaced", "default"])
def test_a_change_is_seen(team, memory, what):
    file = team.make("notes/deep/plan.txt")
    learn(team, memory)
    match what:
        case "chmod":
            file.chmod(0o600)
        case "setfacl":
            subprocess.run(["setfacl", "-b", file], check=True)
        case "chown":
            os.chown(file, team.uids[team.edda], team.uids[team.edda])
        case "new":
            team.make("notes/deep/new.txt", mode=0o644)
        case "replaced":
            os.rename(team.make("other.txt"), file)
        case "default":
            subprocess.run(["setfacl", "-k", file.parent], check=True)
    assert team.secure(known=memory).changed > 0
    assert team.may(team.edda, "write", file)
    assert team.may(team.mira, "write", file)


def test_only_where_something_changed_is_it_looked_at(team, memory, opened):
    file = team.make("notes/deep/plan.txt")
    team.make("other/plan.txt")
    learn(team, memory)
    opened.clear()
    file.chmod(0o600)
    team.secure(known=memory)
    assert opened == ["notes/deep"]


def test_what_changed_just_now_is_not_taken_for_known(team, memory, opened):
    """A clock that stands still between two changes would hide the second one."""
    team.make("plan.txt")
    team.secure(known=memory)
    opened.clear()
    team.secure(known=memory)
    assert opened == [""]


def test_a_change_of_the_team_looks_at_all(team, memory):
    file = team.make("notes/plan.txt")
    learn(team, memory)
    team.secure(known=memory, members=acl.named([(team.uids[team.vera], 5)]))
    assert not team.may(team.edda, "read", file)


def test_a_change_of_overrides_looks_at_all(team, memory):
    file = team.make("notes/plan.txt")
    learn(team, memory)
    overrides = (team.override("notes", team.edda, "---"),)
    learn(team, memory, overrides=overrides)
    assert not team.may(team.edda, "read", file)
    assert team.secure(known=memory, overrides=overrides).changed == 0
    team.secure(known=memory)
    assert team.may(team.edda, "read", file)


def test_a_folder_moved_in_is_looked_at_in_full(team, memory):
    team.make("notes/plan.txt")
    outside = team.place / "outside/deep"
    outside.mkdir(parents=True)
    (outside / "brought.txt").write_text("x")
    for entry in (outside.parent, outside, outside / "brought.txt"):
        os.chown(entry, team.uids[team.mira], team.uids[team.mira])
    learn(team, memory)
    outside.parent.rename(team.path / "brought")
    team.secure(known=memory)
    assert team.may(team.edda, "write", team.path / "brought/deep/brought.txt")


@pytest.mark.rule(4)
def test_a_folder_moved_into_public_or_out_of_it_is_looked_at_in_full(team, memory):
    file = team.make("notes/deep/plan.txt")
    team.make("public/page.txt")
    learn(team, memory)
    (team.path / "notes").rename(team.path / "public/notes")
    learn(team, memory)
    assert team.may(team.otto, "read", team.path / "public/notes/deep/plan.txt")
    (team.path / "public/notes").rename(team.path / "notes")
    team.secure(known=memory)
    assert not file.stat().st_mode & 0o004
    assert not file.parent.stat().st_mode & 0o004


def test_a_folder_moved_to_where_an_override_waits_is_looked_at(team, memory):
    """Folder and files are unchanged; only the way to them says that rights are set there."""
    file = team.make("notes/deep/plan.txt")
    overrides = (team.override("other/deep/plan.txt", team.edda, "---"),)
    learn(team, memory, overrides=overrides)
    assert does(team.mira, os.rename, team.path / "notes", team.path / "other")
    team.secure(known=memory, overrides=overrides)
    assert not team.may(team.edda, "read", team.path / "other/deep/plan.txt")
    assert not file.exists()


def test_a_restricted_folder_that_is_moved_stays_so_though_all_in_it_is_known(team, memory):
    team.make("notes/secret/deep/plan.txt")
    overrides = (team.override("notes/secret", team.edda, "---"),)
    learn(team, memory, overrides=overrides)
    assert does(team.edda, os.rename, team.path / "notes", team.path / "other")
    for _ in range(2):
        team.secure(known=memory, overrides=overrides)
        settle(team)
        assert not team.may(team.edda, "list", team.path / "other/secret/deep")
        team.path.joinpath("other/secret/deep/plan.txt").chmod(0o600)
    team.secure(known=memory, overrides=overrides)
    assert team.may(team.vera, "read", team.path / "other/secret/deep/plan.txt")


@pytest.mark.rule(7)
def test_a_link_that_appears_outside_is_seen(team, memory):
    file = team.make("edda.txt", owner=team.edda)
    learn(team, memory)
    os.link(file, team.place / "outside.txt")
    for _ in range(2):
        outcome = team.secure(known=memory)
        assert outcome.notes == ["edda.txt is a hard link to a file outside the project"]
        settle(team)


def test_linked_files_are_counted_by_every_pass(team, memory):
    file = team.make("one/file.txt", owner=team.edda)
    team.make("two/other.txt")
    os.link(file, team.path / "two/file.txt")
    learn(team, memory)
    team.make("two/new.txt")
    outcome = team.secure(known=memory)
    assert outcome.notes == []
    file.chmod(0o600)
    team.secure(known=memory)
    assert team.may(team.mira, "write", file)


@pytest.mark.rule(8)
def test_a_mount_that_appears_is_not_entered(team, memory):
    mounted, elsewhere = team.make("mounted/file.txt").parent, team.place / "elsewhere"
    elsewhere.mkdir()
    learn(team, memory)
    if subprocess.run(["mount", "--bind", elsewhere, mounted], capture_output=True).returncode:
        pytest.skip("this machine does not allow a bind mount")
    try:
        before = snapshot(elsewhere)
        for _ in range(2):
            assert team.secure(known=memory).notes == ["mounted is a mount point"]
            settle(team)
        assert snapshot(elsewhere) == before
    finally:
        subprocess.run(["umount", mounted], check=True)


@pytest.mark.parametrize("how", ["cut", "changed", "empty", "another's", "a link", "elsewhere"])
def test_a_state_that_is_not_ours_or_not_whole_does_not_count(team, memory, opened, how):
    team.make("notes/plan.txt")
    learn(team, memory)
    content = memory.read_bytes()
    match how:
        case "cut":
            memory.write_bytes(content[:-1])
        case "changed":
            memory.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
        case "empty":
            memory.write_bytes(b"")
        case "another's":
            os.chown(memory, team.uids[team.edda], -1)
        case "a link":
            memory.rename(memory.with_name("real"))
            memory.symlink_to("real")
        case "elsewhere":
            other = team.place / "other"
            other.mkdir()
            os.chown(other, team.uids[team.mira], -1)
            team.path = other
            team.make("notes/plan.txt")
            learn(team, memory)
            team.path = team.place / "p"
    opened.clear()
    team.secure(known=memory)
    assert opened == ["", "notes"]


def test_a_state_that_cannot_be_written_fails_nothing(team, place):
    file = team.make("plan.txt")
    (place / "in-the-way").write_text("")
    team.secure(known=place / "in-the-way/state")
    assert team.may(team.edda, "write", file)


def test_a_large_tree_is_known_too(team, memory, opened, monkeypatch):
    monkeypatch.setattr("compute_agent.host.permissions.whole._SMALL", 0)
    files = [team.make(f"data/{number}/deep/file.txt") for number in range(30)]
    learn(team, memory)
    before = snapshot(team.path)
    outcome = team.secure(known=memory)
    assert (outcome.changed, outcome.unchanged) == (0, 2 + 30 * 3)
    assert snapshot(team.path) == before
    files[7].chmod(0o600)
    assert team.secure(known=memory).changed == 1
    assert team.may(team.edda, "write", files[7])
