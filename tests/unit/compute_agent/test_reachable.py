"""Whether others can get to a file."""

import tempfile
from pathlib import Path

import pytest

from compute_agent.host.reachable import closed_ancestor


@pytest.fixture
def open_place():
    """A directory that everyone may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_closed_directory_on_the_way_is_named(open_place):
    inner = open_place / "home"
    (inner / "bin").mkdir(parents=True)
    inner.chmod(0o700)
    target = inner / "bin/python"
    target.touch()
    assert closed_ancestor(target) == inner


def test_a_link_leads_through_the_directories_of_its_target(open_place):
    closed = open_place / "closed"
    closed.mkdir()
    (closed / "python").touch()
    link = open_place / "python"
    link.symlink_to(closed / "python")
    assert closed_ancestor(link) is None
    closed.chmod(0o700)
    assert closed_ancestor(link) == closed
