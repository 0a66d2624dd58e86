"""Control groups on the real kernel: what they hold, what they count, how they go."""

import contextlib
import os
import subprocess
import sys

import pytest
from node_client import until

from compute_agent.host.cgroups import Cgroups, Limits

pytestmark = pytest.mark.host
UID = 54321
NOBODY_ELSE = Limits()


@pytest.fixture
def groups():
    """A function that makes groups, all removed again with what runs in them."""
    if os.geteuid() != 0:
        pytest.skip("makes control groups, so it needs root")
    found = Cgroups(f"test-{os.getpid()}")
    if found.lack:
        pytest.skip(found.lack)
    made = []

    def make(of_app, of_person=NOBODY_ELSE):
        made.append(found.make(UID, f"{os.getpid():x}-{len(made)}", of_app, of_person))
        return made[-1]

    yield make
    for group in made:
        for pid in group.processes():
            os.kill(pid, 9)
        assert group.remove()


@contextlib.contextmanager
def run(group, program):
    """Run a program of Python in the group, as a child that joined before it began."""
    join = "import sys\nfor path in sys.argv[1:]: open(path, 'w').write('0')\n"
    process = subprocess.Popen(
        [sys.executable, "-c", join + program, *group.joins], stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_an_app_over_its_memory_is_killed_and_that_is_counted(groups):
    group = groups(Limits(memory=64 << 20))
    with run(group, "b = bytearray(512 << 20)") as process:
        assert process.wait(30) == -9
    assert group.usage().killed == 1


def test_an_app_within_its_memory_goes_on(groups):
    group = groups(Limits(memory=256 << 20))
    with run(group, "b = bytearray(32 << 20)") as process:
        assert process.wait(30) == 0
    assert group.usage().killed == 0


def test_the_apps_of_a_person_share_the_persons_memory(groups):
    person = Limits(memory=96 << 20)
    greedy, small = groups(NOBODY_ELSE, person), groups(NOBODY_ELSE, person)
    with run(
        small, "import time; b = bytearray(1 << 20); print(1, flush=True); time.sleep(60)"
    ) as process:
        assert process.stdout.readline()
        with run(greedy, "b = bytearray(512 << 20)") as other:
            assert other.wait(30) == -9
        assert process.poll() is None


def test_no_more_processes_than_allowed(groups):
    group = groups(Limits(processes=5))
    program = """
import os, time
started = 0
try:
    while started < 50:
        if os.fork() == 0:
            time.sleep(60)
        started += 1
except BlockingIOError:
    print(started, flush=True)
"""
    with run(group, program) as process:
        assert process.stdout.readline().strip() == b"4"
        assert group.usage().processes == 5


def test_processor_time_and_memory_are_counted(groups):
    group = groups(NOBODY_ELSE)
    with run(group, "b = bytearray(48 << 20)\nwhile True: pass"):
        until(lambda: (group.usage().cpu or 0) > 0.2, "processor time is counted")
        assert group.usage().memory > 40 << 20


def test_a_double_fork_stays_in_the_group(groups):
    group = groups(NOBODY_ELSE)
    program = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
"""
    with run(group, program) as process:
        assert process.wait(30) == 0
    assert len(group.processes()) == 1


def test_the_next_agent_finds_the_group(groups):
    group = groups(NOBODY_ELSE)
    name = group.joins[0].split("/")[-2]
    assert Cgroups(f"test-{os.getpid()}").find(UID, name).joins == group.joins
    assert Cgroups(f"test-{os.getpid()}").find(UID, "not-there") is None


def test_a_machine_without_groups_says_so(tmp_path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text("22 1 0:20 / /proc rw shared:1 - proc proc rw\n")
    found = Cgroups("test", mounts)
    assert "no control groups" in found.lack
    assert found.make(UID, "app", NOBODY_ELSE, NOBODY_ELSE) is None
