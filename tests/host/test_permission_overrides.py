"""Rights that a person set on a file or folder: kept by every pass, whatever tools do to it."""

import os
import subprocess

import pytest
from node_client import as_user
from team import does, getfacl, snapshot

from compute_agent.host import permissions
from compute_agent.host.permissions.marks import ATTRIBUTE

pytestmark = [pytest.mark.host, pytest.mark.rule(13)]


def mark(path):
    try:
        return os.getxattr(path, ATTRIBUTE).decode()
    except OSError:
        return ""


def test_a_restriction_is_kept_by_every_pass(team):
    file, other = team.make("plan.txt"), team.make("other.txt")
    overrides = (team.override("plan.txt", team.edda, "r--"),)
    for _ in range(2):
        team.secure(overrides=overrides)
        assert team.may(team.edda, "read", file)
        assert not team.may(team.edda, "write", file)
        assert team.may(team.edda, "write", other)
        assert team.may(team.mira, "write", file)


def test_whom_a_right_was_given_is_not_kept_from_what_all_may_read(team):
    shared, public = team.make("shared/report.txt"), team.path / "public/report.txt"
    public.parent.mkdir()
    os.link(shared, public)
    team.secure(overrides=(team.override("shared", team.otto, "rwx"),))
    assert team.may(team.otto, "read", public)
    assert not team.may(team.otto, "write", public)


def test_an_extra_right_is_kept_for_somebody_who_is_not_in_the_team(team):
    report, secret = team.make("shared/deep/report.txt"), team.make("notes/plan.txt")
    overrides = (team.override("shared", team.otto, "r-x"),)
    team.secure(overrides=overrides)
    assert team.may(team.otto, "read", report)
    assert team.may(team.otto, "list", report.parent)
    assert not team.may(team.otto, "write", report)
    assert not team.may(team.otto, "read", secret)
    assert not team.may(team.otto, "list", team.path)


def test_it_holds_for_all_below_and_for_what_is_made_there_later(team):
    file = team.make("secret/deep/plan.txt")
    overrides = (team.override("secret", team.edda, "---"),)
    team.secure(overrides=overrides)
    assert not team.may(team.edda, "list", file.parent.parent)
    new = file.parent / "new.txt"
    assert as_user(team.mira, "sh", "-c", f"echo new > {new}")[0] == 0
    entries = getfacl(new)
    assert f"user:{team.uids[team.edda]}:---" in entries
    assert f"default:user:{team.uids[team.edda]}:---" in getfacl(file.parent)


def test_the_nearest_path_decides(team):
    file = team.make("data/open/file.txt")
    closed = team.make("data/file.txt")
    overrides = (
        team.override("data", team.edda, "r-x"),
        team.override("data/open", team.edda, "rwx"),
        team.override("data/open", team.vera, "rwx"),
    )
    team.secure(overrides=overrides)
    assert team.may(team.edda, "write", file)
    assert team.may(team.vera, "write", file)
    assert not team.may(team.edda, "write", closed)


@pytest.mark.rule(14)
def test_a_shrunk_mask_is_repaired_around_it(team):
    file = team.make("plan.txt")
    overrides = (team.override("plan.txt", team.vera, "rw-"),)
    team.secure(overrides=overrides)
    file.chmod(0o600)
    team.secure(overrides=overrides)
    assert team.may(team.vera, "write", file)
    assert team.may(team.edda, "write", file)


def test_an_editors_atomic_save_keeps_it(team):
    file = team.make("plan.txt")
    overrides = (team.override("plan.txt", team.edda, "r--"),)
    team.secure(overrides=overrides)
    new = team.path / ".plan.txt.swp"
    assert as_user(team.mira, "sh", "-c", f"echo saved > {new} && mv {new} {file}")[0] == 0
    team.secure(overrides=overrides)
    assert team.may(team.edda, "read", file)
    assert not team.may(team.edda, "write", file)


def test_a_copy_that_keeps_rights_keeps_it_at_once_and_is_then_a_file_like_any_other(team):
    file = team.make("plan.txt")
    copy = team.path / "copy.txt"
    overrides = (team.override("plan.txt", team.edda, "r--"),)
    team.secure(overrides=overrides)
    assert as_user(team.mira, "cp", "-p", file, copy)[0] == 0
    assert not team.may(team.edda, "write", copy)
    team.secure(overrides=overrides)
    assert team.may(team.edda, "write", copy)
    assert not team.may(team.edda, "write", file)


def test_moving_a_restricted_file_away_does_not_open_it(team):
    """Edda may write to the folder, so she can rename what she may not read."""
    file = team.make("notes/plan.txt")
    overrides = (team.override("notes/plan.txt", team.edda, "---"),)
    team.secure(overrides=overrides)
    moved = team.path / "moved.txt"
    assert as_user(team.edda, "mv", file, moved)[0] == 0
    team.secure(overrides=overrides)
    assert not team.may(team.edda, "read", moved)
    assert team.may(team.mira, "read", moved)
    assert not does(team.edda, os.removexattr, moved, ATTRIBUTE)


def test_moving_a_restricted_folder_or_one_above_it_opens_nothing(team):
    file = team.make("notes/secret/deep/plan.txt")
    overrides = (team.override("notes/secret", team.edda, "---"),)
    team.secure(overrides=overrides)
    public = team.path / "public"
    assert does(team.edda, os.rename, team.path / "notes/secret", team.path / "notes/renamed")
    assert does(team.edda, os.rename, team.path / "notes", public)
    team.secure(overrides=overrides)
    assert not team.may(team.edda, "read", public / "renamed/deep/plan.txt")
    assert team.may(team.vera, "read", public / "renamed/deep/plan.txt")
    assert not file.exists()


def test_a_restricted_file_stays_so_by_its_other_names(team):
    file = team.make("notes/plan.txt")
    other = team.path / "other.txt"
    os.link(file, other)
    overrides = (team.override("notes/plan.txt", team.edda, "---"),)
    for _ in range(2):
        team.secure(overrides=overrides)
        assert not team.may(team.edda, "read", other)
    assert team.secure(overrides=overrides).changed == 0


def test_a_mark_that_somebody_sets_gives_nothing(team):
    """The id of an extra right can be read off a file; put on another one it opens nothing."""
    report, secret = team.make("report.txt"), team.make("secret.txt")
    granted = team.override("report.txt", team.otto, "r--")
    team.secure(overrides=(granted,))
    assert does(team.edda, os.setxattr, secret, ATTRIBUTE, granted.id.encode())
    team.secure(overrides=(granted,))
    assert team.may(team.otto, "read", report)
    assert not team.may(team.otto, "read", secret)


def test_what_is_taken_back_leaves_nothing(team):
    file, folder = team.make("plan.txt"), team.make("secret/deep/file.txt").parents[1]
    team.secure()
    before = {path: found[-1] for path, found in snapshot(team.path).items()}
    overrides = (
        team.override("plan.txt", team.edda, "r--"),
        team.override("secret", team.otto, "r-x"),
    )
    team.secure(overrides=overrides)
    assert mark(file) and mark(folder) and mark(team.path)
    team.secure()
    assert {path: found[-1] for path, found in snapshot(team.path).items()} == before


def test_marks_of_overrides_that_are_gone_are_removed(team):
    file = team.make("plan.txt")
    team.secure(overrides=(team.override("plan.txt", team.edda, "r--"),))
    team.secure(overrides=(team.override("other.txt", team.edda, "r--"),))
    assert not mark(file)
    assert team.may(team.edda, "write", file)


def test_public_stays_public_for_the_others(team):
    page = team.make("public/drafts/page.txt")
    overrides = (team.override("public/drafts", team.edda, "---"),)
    team.secure(overrides=overrides)
    assert team.may(team.otto, "read", page)
    assert not team.may(team.edda, "read", page)


def test_names_that_are_not_utf_8_lie_beside_and_below_it(team):
    folder = team.make("secret/file.txt").parent
    for directory in (folder, team.path):
        name = os.path.join(os.fsencode(directory), b"\xff\n")
        with open(name, "wb"):
            pass
        os.chown(name, team.uids[team.mira], -1)
    overrides = (team.override("secret", team.edda, "---"),)
    team.secure(overrides=overrides)
    assert f"user:{team.uids[team.edda]}:---" in getfacl(
        os.path.join(os.fsencode(folder), b"\xff\n")
    )
    assert team.may(team.edda, "read", f"{team.path}/\udcff\n")
    assert team.secure(overrides=overrides).changed == 0


def test_a_pass_that_finds_them_kept_writes_nothing(team):
    team.make("secret/deep/file.txt")
    team.make("secret/hers.txt", owner=team.edda)
    overrides = (
        team.override("secret", team.vera, "---"),
        team.override("secret/deep", team.otto, "r-x"),
        team.override("missing", team.vera, "---"),
    )
    team.secure(overrides=overrides)
    before = snapshot(team.path)
    assert team.secure(overrides=overrides).changed == 0
    assert snapshot(team.path) == before


def test_a_restriction_holds_for_who_made_the_file_too(team):
    file = team.make("hers.txt", owner=team.edda)
    team.secure(overrides=(team.override("hers.txt", team.edda, "---"),))
    assert file.stat().st_uid == team.uids[team.mira]
    assert not team.may(team.edda, "read", file)


def test_the_projects_owner_is_not_restricted(team):
    file = team.make("plan.txt", owner=team.edda)
    team.secure(overrides=(team.override("plan.txt", team.mira, "---"),))
    assert team.may(team.mira, "write", file)


def test_a_folder_of_the_systems_keeps_its_rights_and_that_is_said(team):
    (team.path / "roots").mkdir()
    outcome = team.secure(overrides=(team.override("roots", team.edda, "---"),))
    assert outcome.notes == ["roots belongs to the system, so rights set on it do not hold"]


def test_a_file_system_that_keeps_no_marks_is_named(team, monkeypatch):
    file = team.make("plan.txt")
    monkeypatch.setattr("compute_agent.host.permissions.marks.Marker.write", lambda *_: False)
    outcome = team.secure(overrides=(team.override("plan.txt", team.edda, "r--"),))
    assert "plan.txt can't be marked here" in outcome.notes[0]
    assert not team.may(team.edda, "write", file)


@pytest.mark.rule(12)
def test_a_team_too_large_for_names_goes_by_a_group(team):
    """Otto comes in by the project's group; an override for him alone beats it."""
    subprocess.run(["groupadd", team.otto + "g"], check=True)
    try:
        subprocess.run(["usermod", "-a", "-G", team.otto + "g", team.otto], check=True)
        gid = int(subprocess.run(["getent", "group", team.otto + "g"], capture_output=True,
                                 text=True, check=True).stdout.split(":")[2])  # fmt: skip
        file, kept = team.make("notes/plan.txt"), team.make("kept.txt")
        rules = {
            "groups": ((gid, 7),), "by_group": ((team.uids[team.otto], 7),),
            "overrides": (team.override("kept.txt", team.otto, "r--"),),
        }  # fmt: skip
        team.secure(**rules)
        assert team.may(team.otto, "write", file)
        assert team.may(team.otto, "make", file.parent / "new.txt")
        assert team.may(team.otto, "read", kept)
        assert not team.may(team.otto, "write", kept)
        assert f"default:group:{gid}:rwx" in getfacl(team.path)
        assert as_user(team.otto, "mv", kept, file)[0] == 0
        team.secure(**rules)
        assert team.may(team.otto, "read", file)
        assert not team.may(team.otto, "write", file)
        team.secure()
        assert f"group:{gid}:" not in " ".join(getfacl(file) + getfacl(team.path))
    finally:
        subprocess.run(["groupdel", team.otto + "g"], check=True)


def test_rights_in_a_large_tree_hold_too(team, monkeypatch):
    """Where other processes share the work."""
    monkeypatch.setattr("compute_agent.host.permissions.whole._SMALL", 0)
    secret = [team.make(f"data/{number}/secret/file.txt") for number in range(20)]
    plain = [team.make(f"data/{number}/plain/file.txt") for number in range(20)]
    overrides = tuple(
        team.override(f"data/{number}/secret", team.edda, "---") for number in range(20)
    )
    team.secure(overrides=overrides)
    assert not any(team.may(team.edda, "read", file) for file in secret)
    assert all(team.may(team.edda, "read", file) for file in plain)
    assert all(mark(file.parent) for file in secret)
    assert isinstance(team.secure(overrides=overrides), permissions.Outcome)


def test_a_mark_that_somebody_makes_restricts_nothing_either(team):
    """Neither for another project nor for this one, and not the mark of another file."""
    marked, file = team.make("marked.txt"), team.make("plan.txt")
    override = team.override("marked.txt", team.vera, "---")
    team.secure(overrides=(override,), key=b"secret")
    for value in (mark(marked).encode(), f"o/p:{override.id}:{'0' * 32}".encode(), b"o/p"):
        assert does(team.edda, os.setxattr, file, ATTRIBUTE, value)
        outcome = team.secure(overrides=(override,), key=b"secret")
        assert outcome.notes == []
        assert team.may(team.vera, "read", file)
        assert not team.may(team.vera, "read", marked)


def test_all_in_a_folder_that_another_project_restricts_is_closed(team):
    secret = team.make("notes/secret/deep/plan.txt")
    overrides = (team.override("notes/secret", team.edda, "---"),)
    team.secure(overrides=overrides, key=b"secret")
    own = team.place / "own"
    own.mkdir()
    os.chown(own, team.uids[team.edda], team.uids[team.edda])
    assert does(team.edda, os.rename, team.path / "notes", own / "notes")
    team.path = own
    edda = team.uids[team.edda]
    outcome = team.secure(
        owner=edda, group=edda, members=((team.uids[team.vera], 7),), key=b"secret"
    )
    assert outcome.notes == [f"notes/secret is closed: another project restricts it ({ATTRIBUTE})"]
    for path in (
        own / "notes/secret",
        own / "notes/secret/deep",
        own / "notes/secret/deep/plan.txt",
    ):
        assert path.stat().st_mode & 0o077 == 0
    assert not secret.exists()


def test_a_nodes_key_is_made_once_and_is_the_nodes_alone(place):
    key = permissions.node_key(place / "marks.key")
    assert len(key) == 32
    assert permissions.node_key(place / "marks.key") == key
    assert (place / "marks.key").stat().st_mode & 0o777 == 0o600
    assert os.listdir(place) == ["marks.key"]
