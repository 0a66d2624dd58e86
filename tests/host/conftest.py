"""Nodes, accounts and environments for tests that change this machine."""

import contextlib
import grp
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, running, small_apps
from team import Team

from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.environments.clone import Clone
from compute_agent.host import directories
from compute_agent.host.errors import HostError
from compute_agent.host.reachable import closed_ancestor
from deploy.node_service import NodeService
from tests.places import KEPT

_counter = iter(range(1000))


def _needs_root():
    if os.geteuid() != 0:
        pytest.skip("changes accounts and access lists of this machine, so it needs root")


@pytest.fixture(scope="session")
def interpreter():
    """An interpreter that other accounts can run."""
    candidates = [getattr(sys, "_base_executable", sys.executable), "/usr/bin/python3"]
    for candidate in map(Path, candidates):
        if candidate.exists() and closed_ancestor(candidate.resolve()) is None:
            return str(candidate)
    pytest.skip("there is no Python that other accounts can reach")


@pytest.fixture(scope="session")
def cache():
    """A directory that outlives the run: building environments is most of the time."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT


@pytest.fixture(scope="session")
def environments(cache, interpreter):
    """Settings of a node whose environments are built: the real ones, Jupyter included."""
    return _built(Config(state_dir=str(cache / "node"), python=interpreter), "jupyter", "default")


@pytest.fixture(scope="session")
def bare_environments(cache, interpreter, tmp_path_factory):
    """The same with nothing but Python in ``default``, for tests of other things."""
    lock = tmp_path_factory.mktemp("lock") / "empty.txt"
    lock.write_text("")
    state = cache / "node-bare"
    settings = Config(state_dir=str(state), python=interpreter, default_lock=str(lock))
    return _built(settings, "default")


def _built(settings, *names):
    environments = Environments(settings)
    try:
        for name in names:
            environments.ensure(name)
    except HostError as error:
        pytest.skip(f"the environments could not be built: {error.cause}")
    return {
        "state_dir": settings.state_dir,
        "python": settings.python,
        "default_lock": settings.default_lock,
    }


@pytest.fixture
def people():
    """A function that gives names of accounts which do not exist yet; all are removed again."""
    _needs_root()
    names = []

    def new(make=False):
        name = f"aent{os.getpid()}x{next(_counter)}"
        names.append(name)
        if make:
            subprocess.run(["useradd", "--create-home", "--user-group", name], check=True)
        return name

    yield new
    for name in names:
        _remove_account(name)


def _remove_account(name):
    with contextlib.suppress(KeyError):
        uid = pwd.getpwnam(name).pw_uid
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and entry.stat().st_uid == uid:
                    os.kill(int(entry.name), 9)
        subprocess.run(["userdel", "--remove", "--force", name], capture_output=True, check=False)
    for group in (name, f"aen-{name}"):
        with contextlib.suppress(KeyError):
            grp.getgrnam(group)
            subprocess.run(["groupdel", group], capture_output=True, check=False)


@pytest.fixture(scope="session")
def four():
    """Accounts for the project of ``team``, the same for all tests: making them takes long."""
    _needs_root()
    names = [f"aent{os.getpid()}x{next(_counter)}" for _ in range(4)]
    try:
        for name in names:
            subprocess.run(["useradd", "--create-home", "--user-group", name], check=True)
        yield names
    finally:
        for name in names:
            _remove_account(name)


@pytest.fixture
def team(four, place):
    """A project of Mira's with an editor Edda and a viewer Vera; Otto is not in the team."""
    return Team(four, place)


@pytest.fixture
def place():
    """A directory with a short path, because paths of sockets are short."""
    path = Path(f"/tmp/aent{os.getpid()}-{next(_counter)}")
    path.mkdir(mode=0o711)
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def open_place():
    """A directory for all tests of a module that every account can enter."""
    path = Path(f"/tmp/aent{os.getpid()}-{next(_counter)}")
    path.mkdir()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def node(place, environments):
    """A node with the real apps."""
    _needs_root()
    with running(Node(place, environments)) as node:
        yield node


@pytest.fixture
def small_node(place, bare_environments):
    """A node whose apps are a few lines, so that their launch takes no time."""
    _needs_root()
    with running(Node(place, bare_environments | small_apps(place))) as node:
        yield node


# --- a node that serves its people as root, or as an account of its own ---------------------------


@pytest.fixture(scope="session")
def service_account():
    """A system account for an agent to run as."""
    _needs_root()
    name = f"aent{os.getpid()}svc"
    subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", name], check=True)
    yield name
    _remove_account(name)


@pytest.fixture(scope="session")
def service_python(interpreter):
    """An installation that a service account can run and cannot change."""
    _needs_root()
    packages = next((CHECKOUT / ".venv").glob("lib/python*/site-packages"), None)
    if packages is None or closed_ancestor(packages) or closed_ancestor(CHECKOUT / "compute_agent"):
        pytest.skip("the packages that the agent needs cannot be reached by another account")
    place = Path(f"/tmp/aent{os.getpid()}-venv")
    subprocess.run(
        [interpreter, "-m", "venv", "--without-pip", "--symlinks", place], check=True, umask=0o022
    )
    [site] = place.glob("lib/python*/site-packages")
    (site / "aen.pth").write_text(f"{CHECKOUT}\n{packages}\n")
    yield place / "bin/python"
    shutil.rmtree(place)


def as_service(node, account, python):
    """Have the agent run as ``account`` with the capabilities that systemd would give it."""
    node.run_by(NodeService(account, python, node.config).command()[:-4], account)


def by_sudo(node, account, python):
    """Have ``account`` start the agent by the shipped rule. Return the rule's file."""
    if shutil.which("sudo") is None:
        pytest.skip("there is no sudo here")
    service = NodeService(account, python, node.config)
    rule = Path(f"/etc/sudoers.d/aen-test-{os.getpid()}-{next(_counter)}")
    rule.write_text(service.sudoers())
    rule.chmod(0o440)
    become = ("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--")
    node.run_by([*become, "sudo", "-n", *service.command()[:-4]], account)
    return rule


@pytest.fixture(params=["root", "capabilities", "sudo"])
def any_node(request, place, bare_environments):
    """The small node in each of the ways in which a node can serve its people's accounts."""
    _needs_root()
    node = Node(place, bare_environments | small_apps(place))
    rule = None
    if request.param != "root":
        account, python = map(request.getfixturevalue, ("service_account", "service_python"))
        if request.param == "sudo":
            rule = by_sudo(node, account, python)
        else:
            as_service(node, account, python)
    try:
        with running(node):
            yield node
    finally:
        if rule is not None:
            rule.unlink()


@pytest.fixture
def clone(template, place, people):
    """A clone of the module's ``template`` that belongs to a person, and that person's name."""
    mira = people(make=True)
    account = pwd.getpwnam(mira)
    with directories.opened(place) as parent:
        Clone(account.pw_uid, account.pw_gid).make(template, parent, "env", place / "env")
    return place / "env", mira
