"""``aen env`` as people use it: from an app of theirs, as their own account."""

import base64
import contextlib
import errno
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
import zipfile
from pathlib import Path

import pytest
from node_client import CHECKOUT, Node, as_user, running, small_apps, until

from compute_agent.config import Config
from compute_agent.environments import TOOLS, Environments
from compute_agent.host.errors import HostError

pytestmark = pytest.mark.host


def make_wheel(folder, version, code="", name="aenttoy"):
    """Write a wheel with a module and a script.

    Modules of two versions differ in length: Python tells bytecode of an older one by that and by
    the second in which it was written.
    """
    longer = "#" * int(float(version))
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n{code}\n{longer}\ndef main():\n    print(VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    rows = []
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        rows.append(f"{path},sha256={digest.decode()},{len(text)}")
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


class Shell:
    """Runs commands in a running app's environment, as its user in its project."""

    def __init__(self, node, app_id, name):
        [pid] = node.processes(app_id)
        environ = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        self.env = dict(line.split("=", 1) for line in environ if "=" in line)
        self.env["UV_FIND_LINKS"] = self.env["PIP_FIND_LINKS"] = str(node.place / "wheels")
        self.env["UV_OFFLINE"] = self.env["PIP_NO_INDEX"] = "1"
        self.home = Path(self.env["AEN_PROJECT_DIR"])
        self.person = pwd.getpwnam(name)

    def start(self, *command):
        return subprocess.Popen(
            [*map(str, command)], cwd=self.home, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, user=self.person.pw_uid,
            group=self.person.pw_gid, extra_groups=os.getgrouplist(
                self.person.pw_name, self.person.pw_gid), umask=0o007,
        )  # fmt: skip

    def __call__(self, *command):
        process = self.start(*command)
        said = process.communicate(timeout=120)[0]
        return process.returncode, said

    def ok(self, *command):
        code, said = self(*command)
        assert code == 0, said
        return said


@pytest.fixture(scope="session")
def tool_settings(cache, interpreter):
    """A node whose ``default`` holds pip and packaging, with the tools built."""
    whole = (CHECKOUT / "compute_agent/locks/default.txt").read_text() + "\nend"
    entries = [
        re.search(rf"^{name}==.*?(?=^\S)", whole, re.M | re.S)[0] for name in ("pip", "packaging")
    ]
    digest = hashlib.sha256("".join(entries).encode()).hexdigest()[:8]
    lock = cache / f"lock-{digest}.txt"
    lock.write_text("".join(entries))
    settings = {"state_dir": str(cache / "node-tool"), "python": interpreter,
                "default_lock": str(lock)}  # fmt: skip
    for name in ("default", TOOLS):
        try:
            Environments(Config(**settings)).ensure(name)
        except HostError as error:
            pytest.skip(f"the environments could not be built: {error.cause}")
    return settings


@pytest.fixture
def node(place, tool_settings):
    place.joinpath("wheels").mkdir()
    for version in ("1.0", "2.0"):
        make_wheel(place / "wheels", version)
    make_wheel(place / "wheels", "1.0", name="ipykernel")
    with running(Node(place, tool_settings | small_apps(place))) as node:
        yield node


@pytest.fixture
def shell(node, people):
    mira = people()
    return Shell(node, node.run("web", mira), mira)


def default(shell):
    return shell.home / "envs/default"


def shared_file(shell):
    """A file of the default environment that belongs to the node."""
    return next(default(shell).glob("lib/python*/site-packages/packaging/tags.py"))


def test_packages_are_installed_updated_and_removed(shell):
    assert "Done" in shell.ok("aen", "env", "install", "default", "aenttoy==1.0")
    assert shell.ok("aenttoy") == "1.0\n"
    shell.ok("aen", "env", "install", "default", "aenttoy")
    shell.ok("aen", "env", "install", "default", "aenttoy==2.0")
    assert shell.ok(default(shell) / "bin/aenttoy") == "2.0\n"
    assert "aenttoy" in shell.ok("aen", "env", "list", "default")
    shell.ok("aen", "env", "remove", "default", "aenttoy")
    assert "aenttoy" not in shell.ok("aen", "env", "list", "default")


def test_a_changed_environment_still_shares_what_is_the_nodes(shell):
    before = shared_file(shell)
    inode = before.stat().st_ino
    said = shell.ok("aen", "env", "install", "default", "aenttoy")
    assert "does not answer" not in said
    assert before.stat().st_ino == inode
    assert before.stat().st_uid == 0


def test_without_the_node_it_is_copied_and_says_so(shell, node):
    shell.env["AEN_APP_ID"] = "0" * 32
    said = shell.ok("aen", "env", "install", "default", "aenttoy")
    assert "Copying the environment" in said
    assert shell.ok("aenttoy") == "2.0\n"


def test_a_failed_change_leaves_the_old_environment(shell):
    shell.ok("aen", "env", "install", "default", "aenttoy==1.0")
    inode = default(shell).stat().st_ino
    code, said = shell("aen", "env", "install", "default", "no-such-package-aent")
    assert code == 1
    assert "no-such-package-aent" in said
    assert default(shell).stat().st_ino == inode
    assert shell.ok("aenttoy") == "1.0\n"
    assert not [path for path in (shell.home / "envs").iterdir() if path.name.count(".") > 1]


@contextlib.contextmanager
def hanging(shell):
    """A change that hangs in the middle: at a package index that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        before = dict(shell.env)
        shell.env.pop("UV_OFFLINE")
        shell.env["UV_DEFAULT_INDEX"] = f"http://127.0.0.1:{index.getsockname()[1]}/simple"
        process = shell.start("aen", "env", "install", "default", "slow-package")
        shell.env = before
        index.settimeout(60)
        connection, _ = index.accept()
        with connection:
            yield process
        process.kill()
        process.wait(30)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_cancelled_change_leaves_the_old_environment_whole(shell, node, how):
    shell.ok("aen", "env", "install", "default", "aenttoy==1.0")
    before = {str(path): path.lstat().st_ino for path in default(shell).rglob("*")}
    with hanging(shell) as process:
        process.send_signal(how)
        said = process.communicate(timeout=30)[0]
    assert process.returncode != 0
    if how != signal.SIGKILL:
        assert "as they were" in said
        assert not [p for p in (shell.home / "envs").iterdir() if p.name.count(".") > 1]
    after = {str(path): path.lstat().st_ino for path in default(shell).rglob("*")}
    assert before == after
    # The next one meets what is left, removes it and goes on.
    until(lambda: shell("aen", "env", "install", "default", "aenttoy==2.0")[0] == 0, "it goes on")
    assert [p.name for p in (shell.home / "envs").iterdir() if p.name.count(".") > 1] == []
    assert shell.ok("aenttoy") == "2.0\n"


def test_an_environment_is_made_copied_exported_made_again_and_deleted(shell, node):
    shell.ok("aen", "env", "create", "one", "aenttoy==1.0")
    one = shell.home / "envs/one"
    assert shell.ok(one / "bin/aenttoy") == "1.0\n"
    shell.ok("aen", "env", "clone", "one", "two")
    shell.ok("aen", "env", "delete", "one")
    assert not one.exists()
    two = shell.home / "envs/two"
    assert shell.ok(two / "bin/aenttoy") == "1.0\n"
    assert shell.ok(two / "bin/python", "-c", "import sys; print(sys.prefix)") == f"{two}\n"
    shell.ok("aen", "env", "export", "two", "--file", "wanted.txt")
    assert "aenttoy==1.0" in (shell.home / "wanted.txt").read_text()
    shell.ok("aen", "env", "create", "--file", "wanted.txt", "--", "-three")
    assert shell.ok(shell.home / "envs/-three/bin/aenttoy") == "1.0\n"
    listed = shell.ok("aen", "env", "list")
    assert [line.split()[0] for line in listed.splitlines()] == ["name", "-three", "default", "two"]


def test_pips_own_commands_work_and_leave_shared_files(shell, node):
    """uv and pip replace files; sed -i and bytecode make new ones; nothing writes into a shared one."""
    shared = {path: (path.stat().st_ino, path.read_bytes())
              for path in Path(node_templates(node)).rglob("*") if path.is_file()}  # fmt: skip
    shell.ok("uv", "pip", "install", "aenttoy==1.0")
    assert shell.ok("aenttoy") == "1.0\n"
    target = shared_file(shell)
    shell.ok("sed", "-i", "s/^/# /", target)
    assert target.stat().st_uid == shell.person.pw_uid
    shell.ok("python", "-m", "compileall", "-q", default(shell) / "lib")
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in shared} == shared


def node_templates(node):
    return (node.place / "state/environments/default").resolve()


def test_a_member_of_the_team_changes_it_too(node, people):
    mira, otto = people(), people()
    members = [{"account": otto, "access": "rwx"}]
    node.run("web", mira, members=members)
    shell = Shell(node, node.run("web", mira, account=otto, members=members), otto)
    said = shell.ok("aen", "env", "install", "default", "aenttoy==1.0")
    assert "Copying" not in said
    assert shell.ok("aenttoy") == "1.0\n"


ASK = (
    "import json, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    "s.sendall(json.dumps({'app_id': sys.argv[2], 'source': sys.argv[3], "
    "'target': sys.argv[4]}).encode() + b'\\n'); print(s.recv(4096).decode())"
)


def test_the_node_links_nothing_for_strangers(shell, node, people):
    """Somebody else who knows the app's id, and names that lead elsewhere."""
    otto = people(make=True)
    asked, app_id = node.run_dir / "env.sock", shell.env["AEN_APP_ID"]
    command = ["/usr/bin/python3", "-c", ASK, asked, app_id]
    good = ".default.00000000"
    stranger = subprocess.run(
        ["setpriv", f"--reuid={otto}", f"--regid={otto}", "--init-groups", *map(str, command),
         "default", good], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "no such app" in stranger.stdout
    for source, target in [
        ("../../..", good),
        ("default", "../x"),
        ("default", "plain"),
        ("..", good),
    ]:
        assert '"done":false' in shell.ok(*command, source, target)
    elsewhere = shell.home / "envs/elsewhere"
    shell.ok("ln", "-s", "/etc", elsewhere)
    assert '"done":false' in shell.ok(*command, "elsewhere", good)
    assert sorted(path.name for path in (shell.home / "envs").iterdir()) == ["default", "elsewhere"]


def test_one_account_cannot_keep_others_from_the_nodes_socket(shell, node):
    held = []
    try:
        for _ in range(40):  # more than it serves at a time, and more than it lets one have
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].connect(str(node.run_dir / "env.sock"))
        held[-1].settimeout(20)
        assert held[-1].recv(1) == b""
        assert "Copying" not in shell.ok("aen", "env", "clone", "default", "copy")
    finally:
        for sock in held:
            sock.close()


def test_links_in_an_environment_are_copied_as_links(shell, node):
    """The node follows none, whatever they lead to."""
    shell.ok("ln", "-s", "/etc", default(shell) / "lib/leads-out")
    shell.ok("aen", "env", "clone", "default", "copy")
    copied = shell.home / "envs/copy/lib/leads-out"
    assert copied.is_symlink()
    assert os.readlink(copied) == "/etc"


def test_only_one_change_at_a_time_also_while_the_agent_is_gone(shell, node):
    shell.ok("aen", "env", "clone", "default", "copy")
    with hanging(shell) as process:
        node.kill()
        node.start()
        code, said = shell("aen", "env", "delete", "copy")
        assert code == 1
        assert "Somebody is changing" in said
        process.terminate()
        process.wait(30)
    shell.ok("aen", "env", "delete", "copy")


def test_a_viewer_cannot_keep_others_from_changes(node, people):
    """Vera opens all that she may read in ``envs``, locks it, and asks the node for the turn."""
    mira, vera = people(), people()
    members = [{"account": vera, "access": "r-x"}]
    shell = Shell(node, node.run("web", mira, members=members), mira)
    shell.ok("aen", "env", "clone", "default", "copy")
    envs, person = shell.home / "envs", pwd.getpwnam(vera)
    held = subprocess.Popen(
        ["/usr/bin/python3", "-c", LOCK_ALL, envs, node.run_dir / "env.sock", f"{mira}/demo"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=person.pw_uid,
        group=person.pw_gid, extra_groups=[], cwd="/",
    )  # fmt: skip
    try:
        answer = json.loads(held.stdout.readline())
        assert answer == {
            "done": False,
            "why": "You may not change this project.",
            "unknown": False,
        }
        assert held.stdout.readline() == "locked\n"
        assert "Done" in shell.ok("aen", "env", "delete", "copy")
    finally:
        held.communicate("")


def test_who_has_the_turn_cannot_write_to_the_nodes_file(node, people):
    mira = people()
    shell = Shell(node, node.run("web", mira), mira)
    said = shell.ok("/usr/bin/python3", "-c", WRITE, node.run_dir / "env.sock", f"{mira}/demo")
    assert said.split() == [str(errno.EBADF), str(errno.EACCES)]


WRITE = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(('{"turn": "%s"}\\n' % sys.argv[2]).encode())
fd = socket.recv_fds(sock, 4096, 1)[1][0]
for write in lambda: os.write(fd, b"x"), lambda: os.open(f"/proc/self/fd/{fd}", os.O_WRONLY):
    try:
        write()
        print("written")
    except OSError as error:
        print(error.errno)
"""


def test_who_left_the_team_cannot_keep_others_from_changes(node, people):
    mira, otto = people(), people()
    members = [{"account": otto, "access": "rwx"}]
    shell = Shell(node, node.run("web", mira, members=members), mira)
    shell.ok("aen", "env", "clone", "default", "copy")
    person = pwd.getpwnam(otto)
    held = subprocess.Popen(
        ["/usr/bin/python3", "-c", KEEP, node.run_dir / "env.sock", f"{mira}/demo"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=person.pw_uid,
        group=person.pw_gid, extra_groups=[], cwd="/",
    )  # fmt: skip
    try:
        assert held.stdout.readline() == "kept\n"
        code, said = shell("aen", "env", "delete", "copy")
        assert code == 1
        assert "Somebody is changing" in said
        node.run("web", mira)  # with a team of which otto is no more
        assert "Done" in shell.ok("aen", "env", "delete", "copy")
    finally:
        held.communicate("")


KEEP = """
import fcntl, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(('{"turn": "%s"}\\n' % sys.argv[2]).encode())
[file] = socket.recv_fds(sock, 4096, 1)[1]
fcntl.flock(file, fcntl.LOCK_EX)
print("kept", flush=True)
sys.stdin.read()
"""


LOCK_ALL = """
import fcntl, os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[2])
sock.sendall(('{"turn": "%s"}\\n' % sys.argv[3]).encode())
print(sock.recv(4096).decode().strip())
top = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(top, fcntl.LOCK_EX)
for entry in os.scandir(top):
    fcntl.flock(os.open(entry.name, os.O_RDONLY, dir_fd=top), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_name_that_is_no_name_is_refused(shell):
    for name in ("../x", ".hidden", "a b", ""):
        code, said = shell("aen", "env", "create", name)
        assert code == 1, name
        assert "no name of an environment" in said


def test_the_nodes_copy_opens_nothing_that_is_closed_to_who_asks(node, people):
    """A folder shut to a member by hand, moved into ``envs`` with the folder around it."""
    mira, otto = people(), people()
    members = [{"account": otto, "access": "rwx"}]
    node.run("web", mira, members=members)
    shell = Shell(node, node.run("web", mira, account=otto, members=members), otto)
    outer = shell.home / "data"
    closed = outer / "closed"
    as_user(mira, "mkdir", "-p", closed)
    as_user(mira, "sh", "-c", f"echo secret > {closed}/plan.txt")
    as_user(mira, "setfacl", "-m", f"u:{otto}:---", closed)
    as_user(mira, "sh", "-c", f"echo fixed > {outer}/fixed.txt")
    as_user(mira, "setfacl", "-m", f"u:{otto}:r--", outer / "fixed.txt")
    moved = shell.home / "envs/data"
    shell.ok("mv", outer, moved)

    def copies(name):
        return shell.ok("/usr/bin/python3", "-c", ASK, node.run_dir / "env.sock",
                        shell.env["AEN_APP_ID"], name, f".{name}.00000000")  # fmt: skip

    assert "permission denied" in copies("data")  # a file otto may read, but not write
    shell.ok("rm", "-f", moved / "fixed.txt")
    assert "permission denied" in copies("data")  # a folder otto may not enter
    assert not (shell.home / "envs/.data.00000000").exists()
    code, said = shell("cat", moved / "closed/plan.txt")
    assert code != 0 and "secret" not in said


def test_what_was_set_by_hand_in_an_environment_stays_in_the_changed_one(node, people):
    mira, otto = people(), people()
    members = [{"account": otto, "access": "r-x"}]
    shell = Shell(node, node.run("web", mira, members=members), mira)
    packages = next(default(shell).glob("lib/python*/site-packages"))
    shell.ok("sh", "-c", f"echo secret > {packages}/plan.txt")
    shell.ok("setfacl", "-m", f"u:{otto}:---", default(shell), packages / "plan.txt")
    shell.ok("aen", "env", "install", "default", "aenttoy==1.0")
    assert (packages / "plan.txt").exists()
    assert as_user(otto, "ls", default(shell))[0] != 0
    assert f"user:{otto}:---" in shell.ok("getfacl", "-p", packages / "plan.txt")
