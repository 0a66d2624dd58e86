"""Processes known by id and start time."""

import os
import subprocess
import sys

from compute_agent.host.process import Stat, descendants, open_pidfd, read_stat


def test_a_process_says_who_started_it():
    stat = read_stat(os.getpid())
    assert stat.parent == os.getppid()
    assert stat.memory > 1_000_000


def test_a_process_with_brackets_in_its_name_is_read_right(tmp_path):
    program = tmp_path / "a) R (b"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert read_stat(child.pid).parent == os.getpid()
        child.communicate(b"\n")


def test_a_used_again_id_is_not_taken_for_the_first(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        start = read_stat(child.pid).start
        fd = open_pidfd(child.pid, start)
        assert fd is not None
        os.close(fd)
        assert open_pidfd(child.pid, start - 1) is None
        child.communicate(b"\n")
    assert open_pidfd(child.pid, start) is None


def test_descendants_are_found_at_any_depth():
    def process(pid, parent):
        return Stat(pid, "S", parent, 0, 0)

    stats = [process(2, 1), process(3, 2), process(4, 3), process(5, 9)]
    assert [stat.pid for stat in descendants(2, stats)] == [3, 4]
