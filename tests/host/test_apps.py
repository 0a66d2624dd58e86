"""Apps on a real node: as which account they run, how they end, and what is left of them."""

import json
import os
import pwd
import signal
import uuid
from pathlib import Path

import pytest
from node_client import as_user, until

from compute_agent.host.process import read_stat

pytestmark = pytest.mark.host


def facts(node, app_id):
    """What the small app says of itself."""
    status, body = node.get(app_id, "/any")
    assert status == 200
    return json.loads(body)


def test_an_app_runs_as_its_user_in_the_project(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    said = facts(small_node, app_id)
    account = pwd.getpwnam(mira)
    assert said["uid"] == account.pw_uid >= 1000
    assert said["gid"] == account.pw_gid
    assert said["groups"] == [account.pw_gid]
    assert said["cwd"] == str(small_node.project(mira))
    environment = said["environment"]
    assert environment["HOME"] == account.pw_dir
    assert environment["USER"] == environment["LOGNAME"] == mira
    assert environment["PATH"].startswith(f"{small_node.project(mira)}/envs/default/bin:")


def test_an_app_gets_nothing_of_the_nodes_own(small_node, people):
    said = facts(small_node, small_node.run("web", people()))
    assert said["no_new_privs"]
    assert said["session"]
    assert said["umask"] == 0o007
    assert "PYTEST_CURRENT_TEST" not in said["environment"]
    assert len(said["open"]) < 9  # standard streams, its socket, the connection and /proc


def test_a_launch_reports_each_step_with_its_fact(small_node, people):
    mira = people()
    app_id = small_node.launch("web", mira)[0]
    status = small_node.wait(app_id, "running")
    steps = {step["step"]: step["fact"] for step in status["progress"]}
    assert list(steps) == [
        "account", "directory", "permissions", "environment", "launch", "ready"
    ]  # fmt: skip
    assert steps["account"] == f"{mira}, uid {pwd.getpwnam(mira).pw_uid}"
    assert steps["directory"] == "created from the skeleton"
    assert steps["environment"].startswith("default, Python 3.")
    assert steps["ready"] == "Web answers"
    assert all(step["seconds"] is not None for step in status["progress"])
    assert status["log"][0].endswith(f"account  {steps['account']}")


def test_a_second_launch_of_the_same_id_changes_nothing(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    runner = small_node.runner(app_id)
    assert small_node.launch("web", mira, app_id=app_id)[1] == 202
    assert small_node.runner(app_id) == runner
    assert small_node.status(app_id)["state"] == "running"


def test_an_app_that_was_stopped_before_its_launch_is_refused(small_node, people):
    app_id = uuid.uuid4().hex
    assert small_node.stop(app_id)["state"] == "stopped"
    _, status, body = small_node.launch("web", people(), app_id=app_id)
    assert (status, body["code"]) == (409, "stopped")
    assert not small_node.root.exists()


def test_an_app_stopped_while_it_is_prepared_never_starts(small_node, people):
    app_id = small_node.launch("web", people())[0]
    status = small_node.stop(app_id)
    assert status["cause"] == ""
    assert not small_node.processes(app_id)


def test_a_stopped_app_leaves_no_process(small_node, people):
    app_id = small_node.run("stubborn", people())
    left = until(lambda: len(small_node.processes(app_id)) >= 3 and small_node.processes(app_id),
                 "the app has its children")  # fmt: skip
    small_node.stop(app_id)
    assert not small_node.processes(app_id)
    assert not [pid for pid in left if Path(f"/proc/{pid}").exists()]


def test_a_stop_of_a_stopped_app_is_no_error(small_node, people):
    app_id = small_node.run("web", people())
    small_node.stop(app_id)
    assert small_node.stop(app_id)["state"] == "stopped"


def test_a_forgotten_app_is_gone_and_cannot_be_launched_again(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    assert small_node.command(type="forget", app_id=app_id)[0] == 409
    small_node.stop(app_id)
    assert small_node.command(type="forget", app_id=app_id)[0] == 202
    assert small_node.status(app_id) is None
    assert not small_node.directory(app_id).exists()
    assert small_node.launch("web", mira, app_id=app_id)[1] == 409


def test_an_app_that_dies_at_launch_says_why(small_node, people):
    app_id = small_node.launch("failing", people())[0]
    status = small_node.wait(app_id, "failed")
    assert status["cause"] == (
        "Failing ended at launch: ValueError: no such table: weather (exit code 1)."
    )
    assert status["mend"]
    assert status["exit_code"] == 1
    assert "a line before" in status["log"]


def test_an_app_whose_command_is_missing_says_which(small_node, people):
    app_id = small_node.launch("missing", people())[0]
    cause = small_node.wait(app_id, "failed")["cause"]
    assert cause == "Missing could not be started: /nonexistent/program does not exist."


def test_an_app_that_never_answers_is_ended(small_node, people):
    app_id = small_node.launch("silent", people())[0]
    assert small_node.wait(app_id, "failed")["cause"] == "Silent did not answer within 1 s."
    assert not small_node.processes(app_id)


def test_an_app_that_is_killed_while_it_runs_has_failed(small_node, people):
    app_id = small_node.run("web", people())
    [pid] = small_node.processes(app_id)
    os.kill(pid, signal.SIGKILL)
    status = small_node.wait(app_id, "failed")
    assert status["cause"] == "Web was killed by signal 9 (SIGKILL) from outside AEN."
    assert status["mend"]


def test_an_app_that_crashes_says_so(small_node, people):
    app_id = small_node.run("web", people())
    sock, _ = small_node.connect(app_id)
    sock.sendall(b"GET /crash HTTP/1.1\r\nHost: app\r\n\r\n")
    cause = small_node.wait(app_id, "failed")["cause"]
    sock.close()
    assert cause.startswith("Web crashed (signal 6, SIGABRT)")


def test_an_app_outlives_a_killed_agent_and_is_found_again(small_node, people):
    app_id = small_node.run("web", people())
    before = small_node.status(app_id)
    secret = small_node.connect(app_id)[1]
    [pid] = small_node.processes(app_id)
    small_node.kill()
    assert small_node.processes(app_id) == [pid]
    small_node.start()
    after = small_node.status(app_id)
    assert after["state"] == "running"
    assert after["revision"] > before["revision"]
    assert after["progress"] == before["progress"]
    assert after["log"][: len(before["log"])] == before["log"]
    assert small_node.connect(app_id)[1] == secret
    assert facts(small_node, app_id)["uid"]
    small_node.stop(app_id)
    assert not small_node.processes(app_id)


def test_an_app_that_ends_while_there_is_no_agent_is_known_to_have_ended(small_node, people):
    app_id = small_node.run("web", people())
    [pid] = small_node.processes(app_id)
    small_node.end()
    os.kill(pid, signal.SIGTERM)
    until((small_node.directory(app_id) / "exit.json").exists, "the runner has ended")
    small_node.start()
    assert "signal 15" in small_node.wait(app_id, "failed")["cause"]


def test_a_runner_killed_while_there_is_no_agent_leaves_nothing(small_node, people):
    app_id = small_node.run("stubborn", people())
    until(lambda: len(small_node.processes(app_id)) >= 3, "the app has its children")
    small_node.kill()
    os.kill(small_node.runner(app_id), signal.SIGKILL)
    small_node.start()
    small_node.wait(app_id, "failed")
    assert not small_node.processes(app_id)


def test_an_agent_killed_while_it_prepares_an_app_prepares_it_again(small_node, people):
    app_id = small_node.launch("web", people())[0]
    small_node.kill()
    small_node.start()
    assert small_node.wait(app_id, "running")["state"] == "running"


def test_two_apps_of_one_project_start_side_by_side(small_node, people):
    mira = people()
    first = small_node.launch("web", mira)[0]
    second = small_node.launch("web", mira)[0]
    assert {small_node.wait(app, "running")["state"] for app in (first, second)} == {"running"}


@pytest.mark.row(21)
def test_nobody_else_reaches_an_apps_socket(small_node, people):
    mira, otto = people(), people(make=True)
    app_id = small_node.run("web", mira)
    path = small_node.directory(app_id) / "u/s"
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    assert as_user(mira, "/usr/bin/python3", "-c", connect, path)[0] == 0
    code, said = as_user(otto, "/usr/bin/python3", "-c", connect, path)
    assert code != 0
    assert "PermissionError" in said


@pytest.mark.row(22)
def test_nobody_reads_what_the_node_keeps_of_an_app(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    directory = small_node.directory(app_id)
    for name in ("record.json", "token", "log"):
        assert as_user(mira, "cat", directory / name)[0] != 0, name
    assert as_user(mira, "ls", directory)[0] != 0


@pytest.mark.row(22)
def test_no_secret_shows_in_a_command_line_or_log(small_node, people):
    app_id = small_node.run("web", people())
    secret = small_node.connect(app_id)[1]["X-Secret"].removeprefix("is ")
    assert small_node.get(app_id, f"/print/{secret}")[0] == 200
    until(lambda: "…" in small_node.status(app_id)["log"], "the app's line is in the log")
    assert secret not in json.dumps(small_node.status(app_id))
    assert secret not in small_node.log()
    for pid in [small_node.runner(app_id), *small_node.processes(app_id)]:
        assert secret.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    runner = Path(f"/proc/{small_node.runner(app_id)}/environ").read_bytes()
    assert secret.encode() not in runner


@pytest.mark.row(22)
def test_what_runners_are_forked_from_knows_no_secret_and_outlives_no_agent(small_node, people):
    app_id = small_node.run("web", people())
    secret = small_node.connect(app_id)[1]["X-Secret"].removeprefix("is ")
    zygote = read_stat(small_node.runner(app_id)).parent
    assert b"--zygote" in Path(f"/proc/{zygote}/cmdline").read_bytes()
    assert secret.encode() in memory(small_node.agent())
    assert secret.encode() not in memory(zygote)
    small_node.kill()
    until(lambda: read_stat(zygote) is None or read_stat(zygote).state == "Z", "it ended")
    assert small_node.processes(app_id)


def memory(pid):
    """Return all that a process can write to."""
    content = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(number, 16) for number in place.split("-"))
                file.seek(start)
                content += file.read(end - start)
    return content


@pytest.mark.row(21)
def test_a_user_cannot_lead_the_node_to_another_socket(small_node, people):
    """A link to the agent's own socket would be a way to speak to it as root."""
    mira = people()
    app_id = small_node.run("web", mira)
    path = small_node.directory(app_id) / "u/s"
    assert as_user(mira, "ln", "-sf", small_node.socket, path)[0] == 0
    status, body = small_node.call("POST", f"/v1/apps/{app_id}/connect")
    assert status == 426
    with pytest.raises(AssertionError, match="502"):
        small_node.connect(app_id)
    assert body["code"] == "no_upgrade"


def test_stop_all_ends_every_app(small_node, people):
    mira = people()
    apps = [small_node.run("web", mira), small_node.run("stubborn", mira, "other")]
    assert small_node.run_agent("--stop-all") == 0
    assert {small_node.status(app)["state"] for app in apps} == {"stopped"}
    assert not [pid for app in apps for pid in small_node.processes(app)]


def test_stop_all_ends_what_a_dead_agent_left(small_node, people):
    app = small_node.run("stubborn", people())
    small_node.kill()
    assert small_node.run_agent("--stop-all") == 0
    assert not small_node.processes(app)
    small_node.start()
    assert small_node.wait(app, "stopped")["cause"] == ""
