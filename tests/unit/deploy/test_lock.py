"""One running site for each AEN_HOME."""

import os

import pytest

from deploy import lock
from deploy.say import Problem


def test_a_second_one_is_told_who_has_it(tmp_path):
    held = lock.take(tmp_path / "running.lock")
    with pytest.raises(Problem, match=rf"already running .*process {os.getpid()}"):
        lock.take(tmp_path / "running.lock")
    os.close(held)


def test_nobody_else_can_open_the_lock_not_even_an_older_one(tmp_path):
    """Who can open a file can lock it, and AEN would never start again."""
    path = tmp_path / "running.lock"
    path.touch(0o644)
    os.close(lock.take(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_lock_ends_with_its_holder(tmp_path):
    os.close(lock.take(tmp_path / "running.lock"))
    os.close(lock.take(tmp_path / "running.lock"))


def test_children_do_not_keep_the_lock(tmp_path):
    held = lock.take(tmp_path / "running.lock")
    assert not os.get_inheritable(held)
    lock.hand_over(held)
    assert os.get_inheritable(held)
    lock.receive(held)
    assert not os.get_inheritable(held)
    os.close(held)
