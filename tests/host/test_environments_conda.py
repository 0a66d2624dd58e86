"""Environments of real conda packages, from a channel that is made here."""

import functools
import json
import os
import pwd
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conda_channel import PLACEHOLDER, add_ipykernel, add_python, kept
from node_client import Node, as_user, running, small_apps, until
from test_environment_changes import done, look
from test_environment_tool import Shell, make_wheel
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
    lively = b'export LIVELY_HOME="$CONDA_PREFIX/share/lively"\n'
    channel.add("lively", "1.0", {"etc/conda/activate.d/lively.sh": lively})
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
        "default_packages": ["python", "greet", "texty", "binny", "lively"],
    }


@pytest.fixture(scope="session")
def template(conda_settings):
    return Environments(Config(**conda_settings)).ensure("default")


def test_a_clone_of_conda_packages_works_for_its_user(clone):
    path, mira = clone
    assert as_user(mira, path / "bin/python", "-c", "import sys; print(sys.prefix)") == (
        0, f"{path}\n",
    )  # fmt: skip
    assert as_user(mira, path / "bin/texty") == (0, f"{path}\n")
    assert as_user(mira, path / "bin/greet") == (0, "hello\n")


def test_a_clone_is_what_rattler_would_have_made_in_its_place(
    clone, channel, conda_settings, tmp_path
):
    """Every file, byte for byte: also those that name the environment's directory."""
    path, _ = clone
    there = tmp_path / "direct"
    order = {"channels": [channel.url], "specs": [*conda_settings["default_packages"]], "file": "",
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


def test_a_project_gets_its_default_from_the_channel_and_apps_run_as_its_packages_want(
    place, people, conda_settings
):
    mira = people()
    with running(Node(place, conda_settings | small_apps(place))) as node:
        app_id = node.run("web", mira)
        status = node.status(app_id)
        facts = {step["step"]: step["fact"] for step in status["progress"]}
        assert facts["environment"] == "default, Python 3.11, conda, cloned"
        default = node.project(mira) / "envs/default"
        assert as_user(mira, default / "bin/texty") == (0, f"{default}\n")
        [pid] = node.processes(app_id)
        environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert f"LIVELY_HOME={default}/share/lively".encode() in environ


@pytest.fixture(scope="session")
def kernel_settings(cache, interpreter, environments):
    """Settings of a node whose ``default`` has a kernel, and whose Jupyter is the usual one."""
    built = Path(environments["state_dir"], "environments")

    def fill(channel):
        packages = next(built.glob("default/lib/python*/site-packages"))
        add_r(channel)
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


def add_r(channel):
    """Add this machine's R, as a package that leads to it, and one named as conda's kernel for it."""
    channel.add("r-base", "4.2.2", {"bin/R": b'#!/bin/sh\nexec /usr/bin/R "$@"\n'},
                modes={"bin/R": 0o755})  # fmt: skip
    channel.add("r-irkernel", "1.3.2", {"lib/R/irkernel": b""}, depends=["r-base"])


def test_an_r_kernel_runs_from_conda_packages(place, people, kernel_settings):
    has_kernel = ["/usr/bin/R", "--slave", "-e", 'quit(status = !requireNamespace("IRkernel"))']
    if (
        not Path(has_kernel[0]).exists()
        or subprocess.run(has_kernel, capture_output=True).returncode
    ):
        pytest.skip("this machine has no R with IRkernel (Debian: r-base-core r-cran-irkernel)")
    mira = people()
    with running(Node(place, kernel_settings)) as node:
        done(node, mira, "create", "stats", "r-base", "r-irkernel")
        [stats] = look(node, mira)["environments"]
        assert (stats["name"], stats["maker"], stats["r"]) == ("stats", "conda", "4.2")
        app_id = node.run("lab", mira)
        prefix = f"/{mira}/demo/lab/"
        specs = api(node, app_id, prefix, "kernelspecs")["kernelspecs"]
        assert specs["stats"]["spec"]["display_name"] == "stats (R 4.2)"
        kernel_id = api(node, app_id, prefix, "kernels", "POST", {"name": "stats"})["id"]
        with Kernel(node, app_id, prefix, kernel_id) as kernel:
            said = kernel.run("cat(R.version$major, Sys.getenv('CONDA_PREFIX'))")
        assert said.split() == ["4", f"{node.project(mira)}/envs/stats"]


# --- aen env on conda environments ----------------------------------------------------------------


@pytest.fixture
def shell(place, people, conda_settings):
    """The tools of a person whose project's ``default`` is made of conda packages."""
    mira = people()
    make = Node(place, conda_settings | small_apps(place))
    with running(make) as node:
        shell = Shell(node, node.run("web", mira), mira)
        shell.place = place
        yield shell


def test_conda_packages_are_installed_and_removed_in_a_project(shell):
    said = shell.ok("aen", "env", "install", "default", "spy")
    assert "Linking spy" in said
    assert "Copying" not in said
    default = shell.home / "envs/default"
    shell.ok(default / "bin/python", "-c", "import greet")
    assert set((default / "spy").read_text().split()) == {str(shell.person.pw_uid)}
    assert (default / "lib/python3.11/os.py").stat().st_uid == 0
    assert shell.ok("texty") == f"{default}\n"
    shell.ok("aen", "env", "remove", "default", "greet")
    assert "greet" not in shell.ok("aen", "env", "list", "default")
    assert not (default / "bin/greet").exists()
    code, said = shell("aen", "env", "remove", "default", "python")
    assert code == 1
    assert "Other packages need python" in said
    assert shell.ok("texty") == f"{default}\n"


def test_a_shared_record_of_a_package_is_never_written_into(shell, template):
    """rattler writes into ``conda-meta`` as it stands there."""
    before = {path: path.read_bytes() for path in (template / "conda-meta").iterdir()}
    shell.ok("aen", "env", "install", "default", "spy")
    assert {path: path.read_bytes() for path in (template / "conda-meta").iterdir()} == before


def test_a_copy_of_a_conda_environment_names_its_own_place(shell):
    shell.ok("aen", "env", "clone", "default", "a-rather-long-name-for-an-environment")
    shell.ok("aen", "env", "clone", "a-rather-long-name-for-an-environment", "c")
    shell.ok("aen", "env", "delete", "a-rather-long-name-for-an-environment")
    copied = shell.home / "envs/c"
    assert shell.ok(copied / "bin/texty") == f"{copied}\n"
    assert shell.ok(copied / "bin/greet") == "hello\n"
    default = shell.home / "envs/default"
    for name in ("etc/texty.conf", "lib/binny.so"):
        old, new = (path.joinpath(name).read_bytes() for path in (default, copied))
        assert bytes(f"{copied}", "ascii") in new
        assert new.replace(bytes(copied), b"") .replace(b"\0", b"") == old.replace(
            bytes(default), b"").replace(b"\0", b"")  # fmt: skip
    assert (default / "lib/binny.so").stat().st_size == (copied / "lib/binny.so").stat().st_size


def test_an_exported_conda_environment_is_made_again_exactly(shell):
    shell.ok("aen", "env", "export", "default", "--file", "wanted.txt")
    wanted = shell.home / "wanted.txt"
    assert wanted.read_text().startswith("@EXPLICIT\nfile://")
    shell.ok("aen", "env", "create", "again", "--file", "wanted.txt")
    assert shell.ok(shell.home / "envs/again/bin/greet") == "hello\n"
    code, said = make_with_other_hashes(shell, wanted.read_text())
    assert code == 1
    assert "with these hashes" in said
    assert not (shell.home / "envs/other").exists()


def make_with_other_hashes(shell, wanted):
    other = re.sub("sha256:[0-9a-f]{8}", "sha256:00000000", wanted)
    (shell.home / "other.txt").write_text(other)
    return shell("aen", "env", "create", "other", "--file", "other.txt")


def test_a_package_from_the_network_is_held_to_its_hash(shell, channel):
    shell.ok("aen", "env", "export", "default", "--file", "wanted.txt")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=channel.place)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = f"http://127.0.0.1:{server.server_port}"
        wanted = (shell.home / "wanted.txt").read_text().replace(channel.url, there)
        code, said = make_with_other_hashes(shell, wanted)
        assert code == 1
        assert "with these hashes" in said
        (shell.home / "wanted.txt").write_text(wanted)
        shell.ok("aen", "env", "create", "again", "--file", "wanted.txt")
        server.shutdown()
    assert shell.ok(shell.home / "envs/again/bin/greet") == "hello\n"


def test_packages_of_pip_go_into_a_conda_environment_too(shell):
    (shell.place / "wheels").mkdir()
    make_wheel(shell.place / "wheels", "1.0")
    shell.ok("aen", "env", "install", "--pip", "default", "aenttoy")
    assert shell.ok("aenttoy") == "1.0\n"
    first_line = (shell.home / "envs/default/bin/aenttoy").read_bytes().splitlines()[0]
    assert f"{shell.home}/envs/default/bin/python" in first_line.decode()


def test_a_killed_clone_of_the_template_is_repeated(place, people, template, conda_settings):
    """A node that is killed half-way through leaves nothing that the next start takes for whole."""
    mira = people()
    with running(Node(place, conda_settings | small_apps(place))) as node:
        app_id, *_ = node.launch("web", mira)
        beside = node.root / mira
        until(lambda: list(beside.glob(".demo.*/envs/default/lib")), "the clone has begun")
        node.kill()
        node.start()
        node.wait(app_id, "running")
        default = node.project(mira) / "envs/default"
        assert as_user(mira, default / "bin/greet") == (0, "hello\n")
        assert {file.relative_to(template) for file in template.rglob("*")} - {
            file.relative_to(default) for file in default.rglob("*")
        } == {Path(MARKER)}


# --- an administrator's own default ---------------------------------------------------------------


def own_default(settings, place, own):
    made = Environments(Config(**settings | {
        "state_dir": str(place / "s"), "default_environment": str(own),
    })).ensure("default")  # fmt: skip
    with directories.opened(place) as parent:
        Clone(0, 0).make(made, parent, "env", place / "env")
    return place / "env"


def test_a_file_of_conda_packages_is_an_administrators_default(conda_settings, place, tmp_path):
    own = tmp_path / "packages.txt"
    own.write_text("# ours\npython 3.11.*\ntexty\n")
    path = own_default(conda_settings, place, own)
    assert (
        subprocess.run([path / "bin/texty"], capture_output=True, text=True).stdout == f"{path}\n"
    )


def test_a_directory_of_conda_packages_is_an_administrators_default(
    conda_settings, place, template, tmp_path
):
    """Also one that names itself: the files of every clone name the clone."""
    own = tmp_path / "own"
    with directories.opened(tmp_path) as parent:
        Clone(0, 0).make(template, parent, "own", own)
    (own / "share/ours").write_text("ours")
    path = own_default(conda_settings, place, own)
    assert (path / "share/ours").read_text() == "ours"
    assert (
        subprocess.run([path / "bin/texty"], capture_output=True, text=True).stdout == f"{path}\n"
    )
    assert not (path / "share/ours").samefile(own / "share/ours")


def test_a_venv_is_an_administrators_default(conda_settings, interpreter, place, tmp_path):
    own = tmp_path / "own"
    if subprocess.run([interpreter, "-m", "venv", own], capture_output=True).returncode:
        pytest.skip(f"{interpreter} cannot make a venv")
    path = own_default(conda_settings, place, own)
    said = subprocess.run([path / "bin/pip", "--version"], capture_output=True, text=True).stdout
    assert str(path) in said


def test_a_directory_that_is_no_environment_is_refused(conda_settings, place, tmp_path):
    with pytest.raises(HostError, match="is not an environment"):
        own_default(conda_settings, place, tmp_path)
