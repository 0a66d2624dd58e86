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
