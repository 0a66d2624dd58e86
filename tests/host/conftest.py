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
from node_client import Node, running, small_apps

from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.host.errors import HostError
from compute_agent.host.reachable import closed_ancestor

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
    place = Path("/var/cache/aen-test" if os.geteuid() == 0 else Path.home() / ".cache/aen-test")
    place.mkdir(parents=True, exist_ok=True)
    return place


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


@pytest.fixture
def place():
    """A directory with a short path, because paths of sockets are short."""
    path = Path(f"/tmp/aent{os.getpid()}-{next(_counter)}")
    path.mkdir(mode=0o711)
    path.chmod(0o711)
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
