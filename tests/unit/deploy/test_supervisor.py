"""Supervisor's configuration, read back by Supervisor's own parser."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from deploy import options, paths, programs, supervisor
from deploy.say import Problem


def parse(text, folder):
    file = folder / "supervisord.conf"
    file.write_text(text)
    read = ServerOptions()
    read.realize(args=["-c", str(file)])
    return {group.name: group.process_configs[0] for group in read.process_group_configs}


@pytest.fixture
def layout(tmp_path):
    home = tmp_path / "with space"
    (home / "log").mkdir(parents=True)
    return paths.Layout(home, tmp_path)


def rendered(layout, host="all", **env):
    chosen = options.read(env, os.getuid(), layout)
    if not chosen.single:  # the service account may not be there yet
        chosen = options.Options(**{**chosen.__dict__, "account": "daemon"})
    return supervisor.render(host, chosen, layout, env)


def test_one_program_for_each_process(layout, tmp_path):
    assert set(parse(rendered(layout), tmp_path)) == {"server", "worker", "gateway", "compute"}


@pytest.mark.parametrize(("host", "names"), list(programs.HOSTS.items()))
def test_each_role_has_its_processes(host, names, layout, tmp_path):
    assert set(parse(rendered(layout, host), tmp_path)) == set(names)


def test_values_arrive_as_they_were_set(layout, tmp_path):
    url = "postgresql://u:p%40ss,w'rd;=#x@host/db?a=b%20c"
    found = parse(rendered(layout, AEN_DATABASE_URL=url), tmp_path)
    assert found["server"].environment["AEN_DATABASE_URL"] == url
    assert found["server"].environment["AEN_HOME"] == str(layout.home)


@pytest.mark.parametrize("value", ['a"b', "a\nb", "'a", "a ;b", "a #b"])
def test_a_value_that_supervisor_cannot_take_is_refused_by_name(value, layout):
    with pytest.raises(Problem, match="AEN_DATABASE_URL"):
        rendered(layout, AEN_DATABASE_URL=value)


@pytest.mark.row(22)
def test_no_secret_is_on_a_command_line(layout, tmp_path):
    found = parse(rendered(layout, AEN_DATABASE_URL="postgresql://u:hush@h/d"), tmp_path)
    assert not any("hush" in program.command for program in found.values())


def test_apps_are_not_ended_with_the_agent(layout, tmp_path):
    agent = parse(rendered(layout), tmp_path)["compute"]
    assert (agent.stopasgroup, agent.killasgroup) == (False, False)


def test_the_configuration_is_ours_alone(tmp_path):
    layout = paths.Layout(tmp_path, Path("/run/aen-x"))
    layout.etc.mkdir()
    layout.supervisor_config.write_text("")
    layout.supervisor_config.chmod(0o644)
    supervisor.write(layout, "[supervisord]\n")
    assert layout.supervisor_config.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_ends_no_supervisor(tmp_path):
    started = tmp_path / "started"
    program = f"sh -c 'echo something to log; echo once more >> {started}; sleep 1.2; exit 1'"
    (tmp_path / "supervisord.conf").write_text(
        "[supervisord]\nnodaemon = true\nsilent = true\nlogfile = /dev/full\n"
        f"pidfile = {tmp_path}/pid\nchildlogdir = {tmp_path}\n"
        f"[program:talker]\ncommand = {program}\nautorestart = true\nredirect_stderr = true\n"
        "startsecs = 1\nstdout_logfile = /dev/full\n"
    )
    with Path("/dev/full").open("wb") as full:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "deploy.daemon", "-n", "-c", tmp_path / "supervisord.conf"],
            stdin=subprocess.DEVNULL, stdout=full, stderr=full,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not (started.exists() and len(started.read_text().splitlines()) > 1):
            assert daemon.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        daemon.terminate()
        daemon.wait(20)
