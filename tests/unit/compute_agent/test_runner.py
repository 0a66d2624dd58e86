"""Runners and the process that they are forked from, in the account that runs the tests."""

import json
import os
import select
import signal
import sys
from pathlib import Path

import pytest

from compute_agent.zygote import Zygote
from tests.waiting import until

LIMIT = 20_000


@pytest.fixture
def zygote():
    zygote = Zygote()
    yield zygote
    zygote.end()


class Held:
    """A runner that a test started."""

    def __init__(self, identity, fd):
        self.pid, self.identity, self.fd = identity.pid, identity, fd

    def send(self, number):
        signal.pidfd_send_signal(self.fd, number)

    def has_ended(self, seconds=0.0):
        return bool(select.select([self.fd], [], [], seconds)[0])


@pytest.fixture
def run(tmp_path, zygote):
    """A function that starts a runner for a Python program; none is left at the end."""
    started = []

    def run(code, *, argv=None, grace=5.0):
        spec = {
            "argv": argv or [sys.executable, "-c", code, str(tmp_path)], "cwd": str(tmp_path),
            "env": {"PATH": os.environ["PATH"], "SECRET": "s3cret"}, "umask": 0o027,
            "grace": grace, "log_bytes": LIMIT, "limits": {"core": [0, 0]}, "joins": [],
        }  # fmt: skip
        started.append(Held(*zygote.start(tmp_path, spec)))
        return started[-1]

    yield run
    for runner in started:
        if not runner.has_ended():
            runner.send(signal.SIGKILL)
        assert runner.has_ended(20)
        os.close(runner.fd)


def ending(runner, place):
    assert runner.has_ended(30)
    return json.loads((place / "exit.json").read_text())


def log(place):
    return (place / "log").read_text()


def test_how_an_app_ended_is_written_down(run, tmp_path):
    said = ending(run("print('bye'); raise SystemExit(3)"), tmp_path)
    assert (said["code"], said["signal"], said["stopped"], said["error"]) == (3, None, False, "")
    assert log(tmp_path) == "bye\n"


def test_a_signal_that_ended_it_is_named(run, tmp_path):
    said = ending(run("import os; os.kill(os.getpid(), 9)"), tmp_path)
    assert (said["code"], said["signal"]) == (None, signal.SIGKILL)


def test_a_command_that_cannot_be_run_is_an_error(run, tmp_path):
    said = ending(run("", argv=["/nonexistent/program"]), tmp_path)
    assert said["error"].split("\n") == [
        "2", "/nonexistent/program", "No such file or directory"
    ]  # fmt: skip


def test_the_log_is_bounded_and_keeps_the_end(run, tmp_path):
    ending(run("for i in range(20000): print('line', i)"), tmp_path)
    assert log(tmp_path).endswith("line 19999\n")
    assert sum(path.stat().st_size for path in tmp_path.glob("log*")) < 8 * LIMIT


def test_an_app_that_ends_takes_its_children_with_it(run, tmp_path):
    code = "import subprocess; print(subprocess.Popen(['setsid', 'sleep', '600']).pid)"
    ending(run(code), tmp_path)
    assert not Path(f"/proc/{int(log(tmp_path))}").exists()


def test_an_app_may_end_gently(run, tmp_path):
    code = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("saved"), sys.exit(0)))
print("up", flush=True)
signal.pause()
"""
    process = run(code)
    until(lambda: (tmp_path / "log").exists() and "up" in log(tmp_path), "its log")
    process.send(signal.SIGTERM)
    said = ending(process, tmp_path)
    assert (said["code"], said["stopped"]) == (0, True)
    assert "saved" in log(tmp_path)


def test_an_app_that_does_not_listen_is_killed_after_the_grace(run, tmp_path):
    code = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
    process = run(code, grace=0.2)
    until(lambda: (tmp_path / "log").exists() and "up" in log(tmp_path), "its log")
    process.send(signal.SIGTERM)
    assert ending(process, tmp_path)["signal"] == signal.SIGKILL


def test_a_stop_that_comes_at_once_is_not_lost(run, tmp_path):
    process = run("import time; time.sleep(600)")
    until((tmp_path / "runner.json").exists, "its record")
    process.send(signal.SIGTERM)
    assert ending(process, tmp_path)["stopped"]


def test_the_app_dies_when_its_runner_is_killed(run, tmp_path):
    process = run("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    pid = int(until(lambda: (tmp_path / "log").exists() and log(tmp_path), "its log"))
    process.send(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists(), "its end")


@pytest.mark.row(22)
def test_the_apps_environment_is_the_apps_alone(run, tmp_path):
    process = run("import os, time; print(sorted(os.environ), flush=True); time.sleep(600)")
    seen = until(lambda: (tmp_path / "log").exists() and log(tmp_path), "its log")
    assert "SECRET" in seen
    for name in ("environ", "cmdline"):
        assert b"s3cret" not in Path(f"/proc/{process.pid}/{name}").read_bytes()


def test_a_runner_says_who_it_is(run, tmp_path):
    process = run("import time; time.sleep(600)")
    until((tmp_path / "runner.json").exists, "its record")
    assert json.loads((tmp_path / "runner.json").read_text()) == {
        "pid": process.identity.pid, "start": process.identity.start, "boot": process.identity.boot
    }  # fmt: skip


def test_an_app_gets_nothing_but_its_standard_streams(run, tmp_path):
    code = """
import os
for fd in range(64):
    try:
        print(fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
"""
    ending(run(code), tmp_path)
    assert [line.split()[0] for line in log(tmp_path).splitlines()] == ["0", "1", "2"]


def test_an_app_gets_no_signal_held_back_or_ignored(run, tmp_path):
    ending(run("", argv=["/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]), tmp_path)
    kept_by_libc = 0b11 << 31  # signals 32 and 33: no program can change what it is started with
    masks = [int(line.split()[1], 16) & ~kept_by_libc for line in log(tmp_path).splitlines()]
    assert masks == [0, 0]


def test_runners_outlive_the_process_they_come_from(run, zygote, tmp_path):
    process = run("import time; time.sleep(600)")
    zygote.end()
    assert not process.has_ended()
    process.send(signal.SIGTERM)
    assert ending(process, tmp_path)["stopped"]


def test_the_process_runners_come_from_is_begun_again_where_it_was_killed(run, zygote, tmp_path):
    zygote.warm_up()
    os.kill(zygote._process.pid, signal.SIGKILL)
    assert ending(run("print('up')"), tmp_path)["code"] == 0


def test_a_process_that_does_not_answer_is_given_up(run, zygote, tmp_path):
    zygote.warm_up()
    zygote._socket.settimeout(0.2)
    os.kill(zygote._process.pid, signal.SIGSTOP)
    assert ending(run("print('up')"), tmp_path)["code"] == 0
    assert log(tmp_path) == "up\n"


def test_a_runner_whose_agent_ends_before_it_says_what_to_run_runs_nothing(zygote, tmp_path):
    told, tell = os.pipe()
    directory = os.open(tmp_path, os.O_RDONLY)
    _, fd = zygote.fork(False, directory, told)
    for held in (told, tell, directory):
        os.close(held)
    assert select.select([fd], [], [], 20)[0]
    os.close(fd)
    assert not (tmp_path / "runner.json").exists()
