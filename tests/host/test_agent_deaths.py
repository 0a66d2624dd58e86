"""An agent that is killed at any moment of a launch, and what the next one makes of it."""

import json
import os
import signal
import subprocess

import pytest
from node_client import OVER, as_user, until

from compute_agent.host.process import read_stat

pytestmark = pytest.mark.host


def rewrite_record(node, app_id, **changes):
    """Make the record what it would be had the agent been killed a moment earlier."""
    path = node.directory(app_id) / "record.json"
    stored = json.loads(path.read_text())
    stored["status"] |= changes
    path.write_text(json.dumps(stored))


def write_record(node, app_id, **changes):
    """The same for what is not part of the app's status."""
    path = node.directory(app_id) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_app_whose_start_was_not_written_down_is_running_all_the_same(small_node, people):
    app_id = small_node.run("web", people())
    small_node.kill()
    rewrite_record(small_node, app_id, state="preparing")
    small_node.start()
    assert small_node.wait(app_id, "running")["state"] == "running"
    assert len(small_node.processes(app_id)) == 1


def test_an_app_that_died_with_the_agent_is_not_started_anew(small_node, people):
    app_id = small_node.run("web", people())
    small_node.kill()
    rewrite_record(small_node, app_id, state="preparing")
    os.kill(small_node.runner(app_id), signal.SIGKILL)
    small_node.start()
    assert small_node.wait(app_id, "failed")["cause"] == "Web was ended from outside AEN."
    assert not small_node.processes(app_id)


def test_what_ran_when_the_machine_was_restarted_is_stopped_and_leaves_nothing(small_node, people):
    """As the next boot finds it: other ids, numbers of processes given anew, sockets nobody hears."""
    mira = people()
    app_id, begun = small_node.run("stubborn", mira), small_node.run("web", mira, "other")
    directory = small_node.directory(app_id)
    small_node.kill()
    os.kill(small_node.runner(begun), signal.SIGKILL)
    write_record(small_node, begun, runner=None, boot="another")
    (small_node.directory(begun) / "runner.json").unlink()
    rewrite_record(small_node, begun, state="preparing")
    os.kill(small_node.runner(app_id), signal.SIGKILL)
    until(lambda: not small_node.processes(app_id), "all of it is gone")
    assert (directory / "u/s").is_socket()
    with subprocess.Popen(["sleep", "600"]) as other:
        reused = {"pid": other.pid, "start": read_stat(other.pid).start, "boot": "another"}
        write_record(small_node, app_id, runner=reused, boot="another")
        (directory / "runner.json").write_text(json.dumps(reused))
        small_node.start()
        status = small_node.wait(app_id, "stopped")
        assert other.poll() is None
        other.kill()
    assert status["cause"] == "It ended when its node was restarted."
    assert small_node.wait(begun, "stopped")["cause"] == status["cause"]
    assert not (directory / "u").exists()
    small_node.stop(small_node.run("web", mira))


def test_an_app_that_another_version_of_the_agent_started_is_found_again(small_node, people):
    app_id = small_node.run("web", people())
    [pid] = small_node.processes(app_id)
    small_node.kill()
    path = small_node.directory(app_id) / "record.json"
    stored = json.loads(path.read_text())
    for known in (stored, stored["status"], stored["launch"], stored["launch"]["project"]):
        known["of_tomorrow"] = {"more": [1, 2]}
    for missing in ("spent", "unwanted", "ended"):
        stored.pop(missing, None)
    stored["launch"]["project"].pop("revision")
    path.write_text(json.dumps(stored))
    small_node.start()
    assert small_node.wait(app_id, "running")["state"] == "running"
    assert small_node.processes(app_id) == [pid]
    small_node.stop(app_id)
    assert not small_node.processes(app_id)


def test_a_record_that_nobody_can_read_is_a_problem_of_the_node(small_node, people):
    app_id = small_node.run("web", people())
    small_node.kill()
    path = small_node.directory(app_id) / "record.json"
    content = path.read_text()
    path.write_text('{"status": {"state": "dreaming"}}')
    small_node.start()
    [problem] = small_node.call("GET", "/v1/health")[1]["problems"]
    assert problem.startswith(f"The record of an app in {path.parent} cannot be read")
    small_node.kill()
    path.write_text(content)
    small_node.start()


@pytest.mark.parametrize("step", ["account", "directory", "permissions", "environment", "launch"])
@pytest.mark.rule(1)
def test_a_launch_cut_off_by_the_agents_death_comes_to_its_end(small_node, people, step):
    mira = people()
    app_id = small_node.launch("web", mira)[0]
    until(lambda: _reached(small_node, app_id, step), f"the step {step}", 20)
    small_node.kill()
    small_node.start()
    small_node.wait(app_id, "running")
    assert len(small_node.processes(app_id)) == 1
    small_node.stop(app_id)
    assert not small_node.processes(app_id)
    small_node.stop(small_node.run("web", mira))
    owner = small_node.project(mira).parent
    assert [path.name for path in owner.iterdir()] == ["demo"]


def _reached(node, app_id, step):
    status = node.status(app_id)
    return any(known["step"] == step for known in status["progress"]) or status["state"] in OVER


def test_many_launches_at_once_all_come_to_run(small_node, people):
    mira = people()
    apps = [small_node.launch("web", mira, f"p{number % 5}")[0] for number in range(30)]
    assert {small_node.wait(app, "running")["state"] for app in apps} == {"running"}
    assert small_node.run_agent("--stop-all") == 0
    assert not [pid for app in apps for pid in small_node.processes(app)]


def test_what_lies_among_the_environments_keeps_nothing_from_starting(node, people):
    mira = people()
    node.stop(node.run("lab", mira))
    envs = node.project(mira) / "envs"
    made = f"""cd {envs}; echo text > notes; ln -s /etc link; mkfifo fifo; mkdir Default odd
        mkfifo odd/pyvenv.cfg; cp default/pyvenv.cfg Default/"""
    assert as_user(mira, "sh", "-c", made) == (0, "")
    app_id = node.run("lab", mira)
    kernels = node.directory(app_id) / "u/d/kernels"
    assert [path.name for path in kernels.iterdir()] == ["default"]
