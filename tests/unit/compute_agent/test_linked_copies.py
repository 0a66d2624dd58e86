"""Copies of environments by links, as one account may make them of its own files."""

import os
import threading

import pytest

from compute_agent.environments.links import Asker, link_tree
from compute_agent.host.access import Who
from compute_agent.host.directories import opened
from compute_agent.host.permissions import Cancelled


@pytest.fixture
def copy(tmp_path):
    """Copy a tree of three files to ``new``; the function takes what may cancel that."""
    for name in ("old/a", "old/below/b", "old/below/c"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)

    def _copy(cancelled):
        asker = Asker(Who(os.geteuid(), frozenset(os.getgroups())), frozenset(), cancelled)
        with opened(tmp_path) as parent, opened("old", parent) as source:
            link_tree(source, parent, "new", lambda directory: None, asker)
        return tmp_path / "new"

    return _copy


def test_files_are_the_same_and_folders_are_new(copy, tmp_path):
    new = copy(threading.Event())
    for name in ("a", "below/b", "below/c"):
        assert (new / name).samefile(tmp_path / "old" / name)
    assert not (new / "below").samefile(tmp_path / "old/below")


def test_a_copy_that_has_taken_too_long_ends(copy, tmp_path):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        copy(cancelled)
    assert not list((tmp_path / "new").iterdir())
