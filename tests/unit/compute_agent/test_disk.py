"""Counting what a directory takes on disk."""

import os
import threading

import pytest

from compute_agent.host import disk
from compute_agent.host.directories import opened

KILO = 1024


def used(path, cancelled=None):
    with opened(path) as fd:
        return disk.used(fd, cancelled or threading.Event())


def write(path, kilobytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(os.urandom(kilobytes * KILO))
        file.flush()
        os.fsync(file.fileno())  # blocks are given out when bytes reach the disk


def test_all_below_counts_and_nothing_that_links_lead_to(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    empty = used(project)
    write(tmp_path / "elsewhere/large", 512)
    write(project / "a/b/c/file", 64)
    (project / "away").symlink_to(tmp_path / "elsewhere")
    assert 64 * KILO <= used(project) - empty < 128 * KILO


def test_a_file_that_projects_share_counts_in_part_for_each(tmp_path):
    write(tmp_path / "one/file", 64)
    alone = used(tmp_path / "one")
    (tmp_path / "other").mkdir()
    os.link(tmp_path / "one/file", tmp_path / "other/file")
    assert alone - used(tmp_path / "one") == 32 * KILO


def test_a_hole_takes_nothing(tmp_path):
    empty = used(tmp_path)
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 30)
    assert used(tmp_path) - empty < KILO * KILO


def test_a_tree_that_is_deeper_than_descriptors_reach_comes_to_an_end(tmp_path):
    place = tmp_path
    for _ in range(300):
        place = place / "d"
        place.mkdir()
    assert used(tmp_path) >= 0


def test_counting_can_be_ended(tmp_path):
    for number in range(600):
        (tmp_path / str(number)).touch()
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(disk.Cancelled):
        used(tmp_path, cancelled)
