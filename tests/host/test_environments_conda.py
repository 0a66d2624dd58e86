"""Environments of real conda packages, from a channel that is made here."""

import json
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conda_channel import PLACEHOLDER, add_ipykernel, add_python, kept
from node_client import Node, as_user, running, small_apps
from test_jupyter import Kernel, api

from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.environments.clone import Clone
from compute_agent.environments.marker import MARKER
from compute_agent.host import directories
from compute_agent.host.errors import HostError

pytestmark = pytest.mark.host

P = PLACEHOLDER.encode()
GREET = {
    "site-packages/greet/__init__.py": b"def main():\n    print('hello')\n",
    "site-packages/greet-1.0.dist-info/METADATA": (
        b"Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n"
    ),
    "site-packages/greet-1.0.dist-info/INSTALLER": b"conda\n",
}
SPY = b"import os, sys; open(sys.prefix + '/spy', 'a').write(str(os.getuid()) + ' ')\n"


def fill(channel):
    """Put Python into the channel, and a package of each sort."""
    if add_python(channel) is None:
        return False
    channel.add("greet", "1.0", GREET, noarch="python", depends=["python"],
                entry_points=["greet = greet:main"])  # fmt: skip
    channel.add(
        "texty", "1.0",
        {"bin/texty": b"#!" + P + b"/bin/python\nimport sys\nprint(sys.prefix)\n",
         "etc/texty.conf": b"root=" + P + b"\n", "share/texty": b"x" * 5000},
        prefixed={"bin/texty": "text", "etc/texty.conf": "text"}, depends=["python"], old=True,
        modes={"bin/texty": 0o755, "share/texty": 0o6777},
    )  # fmt: skip
    channel.add(
        "binny", "1.0",
        {"lib/binny.so": b"\x7fELF\0" + P + b"/lib:" + P + b"/lib64\0more\0" + P + b"\0\0\0end"},
        prefixed={"lib/binny.so": "binary"}, modes={"lib/binny.so": 0o600},
    )  # fmt: skip
    channel.add("spy", "1.0", {
        "lib/python3.11/site-packages/spy.pth": SPY,
        "bin/.spy-post-link.sh": b"#!/bin/sh\nid -u > $PREFIX/linked\n",
    }, depends=["python"], modes={"bin/.spy-post-link.sh": 0o755})  # fmt: skip
    return True


@pytest.fixture(scope="session")
def channel(cache):
    channel = kept(cache, "sorts", fill)
    if channel is None:
        pytest.skip("this machine's Python is not one that can be moved, and conda-forge is away")
    return channel


@pytest.fixture(scope="session")
def conda_settings(channel, cache, interpreter):
    """Settings of a node whose ``default`` is made of conda packages."""
    state = cache / "node-conda"
    return {
        "state_dir": str(state),
        "python": interpreter,
        "channels": [channel.url],
        "default_packages": ["python", "greet", "texty", "binny"],
    }


@pytest.fixture(scope="session")
def template(conda_settings):
    return Environments(Config(**conda_settings)).ensure("default")


@pytest.fixture
def clone(template, place, people):
    """A clone that belongs to a person, and that person's name."""
    mira = people(make=True)
    account = pwd.getpwnam(mira)
    with directories.opened(place) as parent:
        Clone(account.pw_uid, account.pw_gid).make(template, parent, "env", place / "env")
    return place / "env", mira


def test_a_clone_of_conda_packages_works_for_its_user(clone):
    path, mira = clone
    assert as_user(mira, path / "bin/python", "-c", "import sys; print(sys.prefix)") == (
        0, f"{path}\n",
    )  # fmt: skip
    assert as_user(mira, path / "bin/texty") == (0, f"{path}\n")
    assert as_user(mira, path / "bin/greet") == (0, "hello\n")


def test_a_clone_is_what_rattler_would_have_made_in_its_place(clone, channel, tmp_path):
    """Every file, byte for byte: also those that name the environment's directory."""
    path, _ = clone
    there = tmp_path / "direct"
    order = {"channels": [channel.url], "specs": ["python", "greet", "texty", "binny"], "file": "",
             "prefix": str(there), "home": str(path), "cache": str(tmp_path / "cache")}  # fmt: skip
    program = "import sys; sys.path.insert(0, 'compute_agent'); import envtool.build as b; b.main()"
    subprocess.run(
        [os.sys.executable, "-c", f"{program}; import os; os._exit(0)"],
        input=json.dumps(order), text=True, check=True, stdout=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    different = [
        str(file.relative_to(there))
        for file in there.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and "conda-meta" not in file.parts
        and file.read_bytes() != (path / file.relative_to(there)).read_bytes()
    ]  # fmt: skip
    assert different == []


def test_what_names_no_directory_is_shared_and_the_nodes(clone, template):
    path, mira = clone
    for name in ("lib/python3.11/os.py", "bin/python3.11", "share/texty"):
        assert (path / name).samefile(template / name), name
        assert (path / name).stat().st_uid == 0
        assert as_user(mira, "sh", "-c", 'echo >> "$1"', "sh", path / name)[0] != 0
    for name in ("bin/texty", "etc/texty.conf", "lib/binny.so", "conda-meta/history"):
        assert (path / name).stat().st_uid == pwd.getpwnam(mira).pw_uid, name
        assert (path / name).stat().st_nlink == 1


def test_a_template_has_no_rights_that_its_packages_brought(template):
    odd = [
        str(file)
        for file in template.rglob("*")
        if not file.is_symlink() and (file.stat().st_mode & 0o6022 or file.stat().st_uid)
    ]
    assert odd == []
    assert (template / "lib/binny.so").stat().st_mode & 0o777 == 0o644


def test_bytecode_is_there_before_the_first_user(template):
    assert list(template.glob("lib/python3*/site-packages/greet/__pycache__/*.pyc"))


def test_nothing_of_a_package_runs_as_root(conda_settings, place):
    """A package can have code run whenever Python starts, and scripts after linking."""
    settings = conda_settings | {
        "state_dir": str(place / "s"), "default_packages": ["python", "spy"],
    }  # fmt: skip
    said = []
    made = Environments(Config(**settings)).ensure("default", said.append)
    assert not (made / "linked").exists()
    assert [line for line in said if "was not run" in line]
    ran_as = {int(line) for line in (made / "spy").read_text().split()}
    assert ran_as
    assert min(ran_as) > 60000
    for number in ran_as:
        with pytest.raises(KeyError):
            pwd.getpwuid(number)


def test_packages_that_there_are_not_are_named(conda_settings, place):
    settings = conda_settings | {
        "state_dir": str(place / "s"), "default_packages": ["python", "nosuchthing"],
    }  # fmt: skip
    with pytest.raises(HostError, match="nosuchthing"):
        Environments(Config(**settings)).ensure("default")
    assert not [p for p in (place / "s/environments").iterdir() if p.name.startswith(".build")]


def test_a_channel_that_is_away_is_named(conda_settings, place):
    settings = conda_settings | {
        "state_dir": str(place / "s"), "channels": [f"file://{place}/nowhere"],
    }  # fmt: skip
    with pytest.raises(HostError, match=re.escape(f"{place}/nowhere")):
        Environments(Config(**settings)).ensure("default")


def test_a_project_gets_its_default_from_the_channel(place, people, conda_settings):
    mira = people()
    with running(Node(place, conda_settings | small_apps(place))) as node:
        status = node.status(node.run("web", mira))
        facts = {step["step"]: step["fact"] for step in status["progress"]}
        assert facts["environment"] == "default, Python 3.11, conda, cloned"
        default = node.project(mira) / "envs/default"
        assert as_user(mira, default / "bin/texty") == (0, f"{default}\n")


@pytest.fixture(scope="session")
def kernel_settings(cache, interpreter, environments):
    """Settings of a node whose ``default`` has a kernel, and whose Jupyter is the usual one."""
    built = Path(environments["state_dir"], "environments")

    def fill(channel):
        packages = next(built.glob("default/lib/python*/site-packages"))
        return add_python(channel) and add_ipykernel(channel, packages, "3.11") is None

    channel = kept(cache, "kernel", fill)
    if channel is None:
        pytest.skip("this machine's Python is not one that can be moved, and conda-forge is away")
    state = cache / "node-conda-kernel"
    (state / "environments").mkdir(parents=True, exist_ok=True)
    jupyter = (built / "jupyter").resolve()
    if not (state / "environments" / jupyter.name / MARKER).exists():
        copied = state / "environments" / jupyter.name
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(jupyter, copied, symlinks=True, copy_function=os.link)
    settings = {"state_dir": str(state), "python": interpreter, "channels": [channel.url],
                "default_packages": ["python", "ipykernel"]}  # fmt: skip
    Environments(Config(**settings)).ensure("default")
    return settings


def test_a_kernel_runs_from_conda_packages(place, people, kernel_settings):
    mira = people()
    with running(Node(place, kernel_settings)) as node:
        app_id = node.run("lab", mira)
        prefix = f"/{mira}/demo/lab/"
        specs = api(node, app_id, prefix, "kernelspecs")["kernelspecs"]
        assert specs["default"]["spec"]["display_name"] == "default (Python 3.11)"
        kernel_id = api(node, app_id, prefix, "kernels", "POST", {})["id"]
        with Kernel(node, app_id, prefix, kernel_id) as kernel:
            said = kernel.run("import os, sys; print(sys.prefix, os.environ['CONDA_PREFIX'])")
        home = f"{node.project(mira)}/envs/default"
        assert said.split() == [home, home]
