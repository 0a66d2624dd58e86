"""A node that serves its people as root, and one that does so as an account of its own."""

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, as_user, running, small_apps, spec, until

from compute_agent.host import guarded, privileges
from deploy.node_service import NodeService
from deploy.say import Problem

pytestmark = pytest.mark.host


def facts(node, app_id):
    status, body = node.get(app_id, "/any")
    assert status == 200
    return json.loads(body)


def capabilities(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line.split()[1], 16) for line in lines if line.startswith("Cap")}


def test_an_app_runs_as_its_user_whose_account_was_made(any_node, people):
    mira = people()
    said = facts(any_node, any_node.run("web", mira))
    account = pwd.getpwnam(mira)
    assert (said["uid"], said["gid"]) == (account.pw_uid, account.pw_gid)
    assert said["groups"] == [account.pw_gid]
    assert stat.S_IMODE(Path(account.pw_dir).stat().st_mode) & 0o700 == 0o700
    assert Path(account.pw_dir).stat().st_uid == account.pw_uid
    health = any_node.call("GET", "/v1/health")[1]
    assert (health["mode"], health["account"]) == ("root", any_node.account)


def test_an_app_has_no_capability_and_can_get_none(any_node, people):
    app_id = any_node.run("stubborn", people())
    found = until(lambda: len(any_node.processes(app_id)) >= 3 and any_node.processes(app_id),
                  "the app has its children")  # fmt: skip
    for pid in found:
        held = capabilities(pid)
        if any_node.account != "root":
            held.pop("CapBnd")  # what bounds the agent; without new privileges it opens nothing
        assert set(held.values()) == {0}
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


def test_the_agent_has_what_it_needs_and_hands_nothing_down(any_node, people):
    if any_node.account == "root":
        pytest.skip("root has every capability")
    runner = any_node.runner(any_node.run("web", people()))
    agent = capabilities(any_node.agent())
    needed = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7))
    assert agent["CapEff"] == agent["CapPrm"] == agent["CapBnd"] == needed
    assert agent["CapInh"] == agent["CapAmb"] == 0
    assert capabilities(runner)["CapEff"] == sum(1 << number for number in (5, 6, 7))


def test_a_team_gets_its_rights_and_others_none(any_node, people):
    mira, edda, vera, otto = people(), people(), people(), people(make=True)
    members = [{"account": edda, "access": "rwx"}, {"account": vera, "access": "r-x"}]
    any_node.run("web", mira, members=members)
    readme = any_node.project(mira) / "README.md"
    write = ("sh", "-c", 'echo more >> "$1"', "sh", readme)
    assert readme.stat().st_uid == pwd.getpwnam(mira).pw_uid
    assert readme.stat().st_gid == pwd.getpwnam(mira).pw_gid
    assert as_user(mira, *write)[0] == as_user(edda, *write)[0] == 0
    assert as_user(vera, "cat", readme)[0] == 0
    assert as_user(vera, *write)[0] != 0
    assert as_user(otto, "cat", readme)[0] != 0
    assert readme.parent.stat().st_mode & stat.S_ISGID


def test_a_pass_heals_what_its_owner_closed(any_node, people):
    mira, edda = people(), people()
    members = [{"account": edda, "access": "rwx"}]
    any_node.stop(any_node.run("web", mira, members=members))
    closed = any_node.project(mira) / "closed"
    made = f"mkdir {closed}; echo x > {closed}/file; chmod 0 {closed}/file {closed}"
    assert as_user(mira, "sh", "-c", made) == (0, "")
    any_node.run("web", mira, members=members)
    until(lambda: as_user(edda, "cat", closed / "file")[0] == 0, "the pass was there")


def test_a_pass_that_several_processes_share_reaches_every_file(people, place):
    mira, edda, service = (pwd.getpwnam(people(make=True)) for _ in range(3))
    os.chown(place, mira.pw_uid, mira.pw_gid)
    for path in (place / f"{number // 60}/{number}" for number in range(18_000)):
        if path.name.endswith("0"):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            os.chown(path.parent, mira.pw_uid, mira.pw_gid)
        os.close(os.open(path, os.O_CREAT, 0o600))
        os.chown(path, mira.pw_uid, mira.pw_gid)
    program = (
        "import os, sys\n"
        "from compute_agent.host import permissions, privileges\n"
        "privileges.keep_to_self()\n"
        "place, owner, group, member = sys.argv[1], *map(int, sys.argv[2:])\n"
        "rules = permissions.Rules(owner, group, ((member, 7),), frozenset({0}))\n"
        "print(permissions.secure(os.open(place, os.O_RDONLY), rules).failed)\n"
    )
    needed = ",".join(f"+{name}" for name in privileges.NEEDED)
    done = subprocess.run(
        ["setpriv", f"--reuid={service.pw_uid}", f"--regid={service.pw_gid}", "--clear-groups",
         f"--inh-caps={needed}", f"--ambient-caps={needed}", sys.executable, "-B", "-c",
         program, place, str(mira.pw_uid), str(mira.pw_gid), str(edda.pw_uid)],
        capture_output=True, text=True, check=True, cwd=CHECKOUT,
    )  # fmt: skip
    assert done.stdout == "0\n"
    assert as_user(edda.pw_name, "find", place, "!", "-writable") == (0, "")


def test_files_of_the_node_stay_the_nodes(any_node, people):
    """Its directories, and the files of environments that all projects share by links."""
    mira = people()
    any_node.run("web", mira)
    agent = pwd.getpwnam(any_node.account).pw_uid
    owner = any_node.project(mira).parent
    assert (owner.stat().st_uid, stat.S_IMODE(owner.stat().st_mode)) == (agent, 0o711)
    assert as_user(mira, "touch", owner / "mine")[0] != 0
    shared = [path for path in (any_node.project(mira) / "envs").rglob("*")
              if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1]  # fmt: skip
    own = pwd.getpwnam(mira).pw_uid
    for path in shared:
        assert path.stat().st_uid != own
        assert not path.stat().st_mode & 0o022, path


def test_a_stopped_app_leaves_no_process(any_node, people):
    app_id = any_node.run("stubborn", people())
    until(lambda: len(any_node.processes(app_id)) >= 3, "the app has its children")
    any_node.stop(app_id)
    assert not any_node.processes(app_id)


def test_an_app_whose_runner_was_killed_leaves_no_process(any_node, people):
    app_id = any_node.run("stubborn", people())
    until(lambda: len(any_node.processes(app_id)) >= 3, "the app has its children")
    os.kill(any_node.runner(app_id), signal.SIGKILL)
    assert any_node.wait(app_id, "failed")["cause"] == "Stubborn was ended from outside AEN."
    assert not any_node.processes(app_id)


def test_an_app_outlives_a_killed_agent_and_is_found_again(any_node, people):
    app_id = any_node.run("web", people())
    [pid] = any_node.processes(app_id)
    any_node.kill()
    assert any_node.processes(app_id) == [pid]
    any_node.start()
    assert any_node.status(app_id)["state"] == "running"
    assert facts(any_node, app_id)["uid"]
    any_node.stop(app_id)
    assert not any_node.processes(app_id)


def test_a_removed_project_is_gone_whatever_its_user_nested(any_node, people):
    mira = people()
    any_node.run("web", mira)
    path = any_node.project(mira)
    nest = f"mkdir -p {path}/a/b/c; echo x > {path}/a/b/c/file; chmod 0 {path}/a/b/c {path}/a"
    assert as_user(mira, "sh", "-c", nest) == (0, "")
    assert any_node.command(type="remove_project", project=spec(mira))[0] == 202
    until(lambda: not list(path.parent.iterdir()), "nothing is left")


# --- the ways to get there ------------------------------------------------------------------------


@pytest.fixture
def unstarted(place, bare_environments):
    return Node(place, bare_environments | small_apps(place))


@pytest.fixture
def service(unstarted, service_account, service_python):
    """The node as a service, with a configuration that is root's alone."""
    return NodeService(service_account, service_python, unstarted.config)


def start(account, *command):
    """Run a command as an account that has nothing but its uid; return (exit code, output)."""
    become = ["setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--"]
    done = subprocess.run(
        [*become, *command], capture_output=True, text=True, cwd="/", timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def rule(service):
    """The rule for sudo, installed."""
    if shutil.which("sudo") is None:
        pytest.skip("there is no sudo here")
    path = Path(f"/etc/sudoers.d/aen-test-{os.getpid()}-rule")
    path.write_text(service.sudoers())
    path.chmod(0o440)
    yield path
    path.unlink()


def test_the_rule_for_sudo_is_one_that_sudo_reads(rule):
    done = subprocess.run(["visudo", "-cf", rule], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not set("*?[!") & set(rule.read_text().split("Cmnd_Alias")[1].split("\n")[0])


def test_sudo_lets_the_account_run_that_one_command_and_no_other(service, rule):
    account, command = service.account, service.command()
    assert start(account, "sudo", "-n", "-l", *command)[0] == 0
    own = service.config.with_name("own.json")
    others = [
        ["/usr/bin/id"], ["/bin/sh"], ["/usr/bin/setpriv"], command[:-1],
        [*command, "--prepare"], [*command[:-1], str(own)],
        [part.replace("+kill", "+kill,+sys_admin") for part in command],
        [part.replace(f"--reuid={account}", "--reuid=root") for part in command],
        [*command[: command.index("--") + 1], "/bin/sh"],
    ]  # fmt: skip
    for other in others:
        code, said = start(account, "sudo", "-n", *other)
        assert code == 1, other
        assert "a password is required" in said or "not allowed" in said, said


def test_sudo_hands_on_no_variable_that_leads_a_program(unstarted, service, rule):
    odd = {"LD_PRELOAD": "/nonexistent.so", "PYTHONPATH": "/nonexistent", "BASH_ENV": "/nonexistent",
           "PYTHONSTARTUP": "/nonexistent", "UV_DEFAULT_INDEX": "http://elsewhere"}  # fmt: skip
    become = [f"--reuid={service.account}", f"--regid={service.account}", "--init-groups", "--"]
    settings = [f"{name}={value}" for name, value in odd.items()]
    sudo = ["sudo", "-n", *service.command()[:-4]]
    unstarted.run_by(["setpriv", *become, "env", *settings, *sudo], service.account)
    with running(unstarted):
        environment = Path(f"/proc/{unstarted.agent()}/environ").read_bytes().split(b"\0")
    assert not {name.split(b"=")[0].decode() for name in environment} & set(odd)


def test_the_unit_is_one_that_systemd_reads(service, place):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    unit = place / "aen-node.service"
    unit.write_text(service.unit())
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    about = [line for line in done.stderr.splitlines() if "aen-node" in line]
    assert (done.returncode, about) == (0, [])
    lines = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line)
    given = lines["AmbientCapabilities"]
    assert given == lines["CapabilityBoundingSet"]
    assert given.lower().split() == [f"cap_{name}" for name in privileges.NEEDED]


@pytest.mark.parametrize("way", ["unit", "sudoers"])
def test_a_configuration_that_others_can_change_is_refused(service, way):
    os.chown(service.config, pwd.getpwnam(service.account).pw_uid, -1)
    with pytest.raises(Problem, match="could change it"):
        getattr(service, way)()


def test_a_program_that_others_can_change_is_refused(service, place):
    installed = place / "venv/bin/python"
    installed.parent.mkdir(parents=True)
    installed.symlink_to("/usr/bin/python3")
    module = place / "venv/lib/module.py"
    module.parent.mkdir()
    module.touch()
    module.chmod(0o666)
    weak = NodeService(service.account, installed, service.config)
    with pytest.raises(Problem, match=f"can change {module}"):
        weak.sudoers()


def test_an_agent_whose_configuration_its_account_can_change_does_not_start(service):
    os.chown(service.config, pwd.getpwnam(service.account).pw_uid, -1)
    done = subprocess.run(service.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"Others than root can change {service.config}" in done.stderr


def test_an_agent_that_lacks_a_capability_says_which(service):
    command = [part.replace(",+fsetid", "") for part in service.command()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "lacks CAP_FSETID (needed to keep the setgid bit" in done.stderr


@pytest.mark.rule(10)
def test_without_capabilities_the_nodes_own_account_runs_no_app(service_account, service_python):
    """Else every app would run as the node, which may change its own files."""
    program = "from compute_agent.host import accounts; accounts.current_account()"
    code, said = start(service_account, service_python, "-B", "-c", program)
    assert code == 1
    assert f"Apps do not run as {service_account}: it is a system account" in said


def test_no_capability_can_be_left_out(service):
    for name in privileges.NEEDED:
        command = [part.replace(f"+{name}", "").replace(",,", ",").rstrip(",")
                   for part in service.command()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert f"CAP_{name.upper()} " in done.stderr


def test_what_the_agent_writes_does_not_become_its_program(any_node, people):
    any_node.stop(any_node.run("web", people()))
    assert guarded.weak_spot(CHECKOUT / "compute_agent") is None
