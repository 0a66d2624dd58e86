"""Deleting what a user made, whatever it is."""

import os
import subprocess
from pathlib import Path

import pytest

from compute_agent.host import directories
from compute_agent.host.directories import opened
from compute_agent.host.removal import remove_tree


def remove(place, name):
    with opened(place) as parent:
        remove_tree(name, parent)


def test_a_tree_is_deleted_with_all_kinds_of_entries(tmp_path):
    tree = tmp_path / "tree"
    (tree / "a/b/c").mkdir(parents=True)
    (tree / "a/file").write_text("x")
    (tree / "a/b/link").symlink_to("/nonexistent")
    os.mkfifo(tree / "a/fifo")
    (tree / "a/closed").mkdir(mode=0)
    remove(tmp_path, "tree")
    assert not tree.exists()


def test_a_tree_deeper_than_any_stack_is_deleted(tmp_path):
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    remove(tmp_path, "d")
    assert not (tmp_path / "d").exists()


def test_links_are_deleted_and_not_followed(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(kept)
    (tmp_path / "link").symlink_to(kept)
    remove(tmp_path, "tree")
    remove(tmp_path, "link")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_what_is_not_there_needs_no_deleting(tmp_path):
    remove(tmp_path, "nothing")


def test_what_is_mounted_in_a_tree_is_not_deleted(tmp_path):
    data, tree = tmp_path / "data", tmp_path / "tree"
    data.mkdir()
    (data / "precious").write_text("x")
    (tree / "a/mounted").mkdir(parents=True)
    mount = ["mount", "--bind", data, tree / "a/mounted"]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount")
    try:
        with pytest.raises(OSError, match="busy"):
            remove(tmp_path, "tree")
    finally:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if line.split()[4].startswith(f"{tree}/"):
                subprocess.run(["umount", line.split()[4]], check=True)
    assert (data / "precious").exists()


def test_only_what_was_set_aside_is_deleted(tmp_path):
    owner = tmp_path / "mira"
    for name in ("demo", ".demo.keep", ".demo.01234567", "gone", "x.gone", ".ssh.gone"):
        (owner / name).mkdir(parents=True)
    (owner / "demo/notes").write_text("x")
    directories.set_aside(tmp_path, "mira", "demo")
    [aside] = [path for path in owner.iterdir() if (path / "notes").exists()]
    assert aside.name.startswith(".demo.")
    directories.delete_set_aside(tmp_path, "mira")
    left = sorted(path.name for path in owner.iterdir())
    assert left == [".demo.01234567", ".demo.keep", ".ssh.gone", "gone", "x.gone"]


def test_removing_what_never_was_makes_nothing(tmp_path):
    directories.set_aside(tmp_path / "projects", "mira", "demo")
    directories.delete_set_aside(tmp_path, "mira")
    assert not list(tmp_path.iterdir())
