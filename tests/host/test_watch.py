"""Rights that a program clobbers are set right within a moment, by a watch over the file system."""

import asyncio
import contextlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from node_client import CHECKOUT, DEADLINE, Node, as_user, running, small_apps, until

from compute_agent.host import acl
from compute_agent.host.errors import HostError
from compute_agent.host.permissions import Rules, secure
from compute_agent.host.watch import Watch
from compute_agent.watching import Healing, begin

pytestmark = pytest.mark.host


# --- what is heard --------------------------------------------------------------------------------


@pytest.fixture
def project(people, place):
    """A project directory of Mira's that the editor Edda works in too, below a root of its own."""
    return Project(place / "root", people(make=True), people(make=True))


class Project:
    def __init__(self, root, mira, edda, name="demo"):
        self.root, self.mira, self.edda = root, mira, edda
        self.key = (mira, name)
        self.path = root / mira / name
        self.path.mkdir(parents=True)
        root.chmod(0o711)
        self.owner = pwd.getpwnam(mira)
        os.chown(self.path, self.owner.pw_uid, self.owner.pw_gid)
        self.secure()

    def secure(self):
        members = acl.named([(pwd.getpwnam(self.edda).pw_uid, 7)])
        rules = Rules(self.owner.pw_uid, self.owner.pw_gid, members, frozenset({0}))
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return secure(fd, rules)
        finally:
            os.close(fd)

    def sh(self, command, who=None):
        code, said = as_user(who or self.mira, "sh", "-c", f"cd {self.path}; {command}")
        assert code == 0, said

    def place(self, below):
        return f"{self.mira}/demo/{below}"

    def may_write(self, name):
        return as_user(self.edda, "sh", "-c", 'echo more >> "$1"', "sh", self.path / name)[0] == 0

    def may_read(self, name):
        return as_user(self.edda, "cat", self.path / name)[0] == 0


@contextlib.contextmanager
def watch(root):
    watch = Watch(root)
    try:
        yield watch
    finally:
        watch.close()


def test_what_a_program_does_to_rights_is_heard(project):
    project.sh("echo > plan; mkdir notes")
    with watch(project.root) as heard:
        project.sh("chmod g-w plan; chmod 700 notes; umask 077; echo > closed; mkdir -p a/b")
        assert heard.read().paths == {
            project.place(name) for name in ("plan", "notes", "closed", "a", "a/b")
        }


def test_a_file_moved_in_is_heard(project):
    with watch(project.root) as heard:
        project.sh("echo > /tmp/$$.aent; mv /tmp/$$.aent moved")
        assert heard.read().paths == {project.place("moved")}


def test_our_own_changes_are_not_heard(project):
    project.sh("umask 077; mkdir -p deep/er; echo > deep/er/file; chmod 700 .")
    with watch(project.root) as heard:
        assert project.secure().changed
        (project.path / "ours").write_text("")
        assert heard.read().paths == frozenset()


def test_what_other_processes_change_for_us_is_not_heard(project):
    make = "import os\nfor n in range(4000): os.close(os.open(f'd/{n}', os.O_CREAT, 0o600))"
    project.sh("mkdir d; setfacl -b -k d")
    as_owner = ["setpriv", f"--reuid={project.mira}", "--clear-groups", sys.executable, "-c", make]
    subprocess.run(as_owner, cwd=project.path, check=True)
    with watch(project.root) as heard:
        assert project.secure().changed > 4000
        assert heard.read() == (frozenset(), False)


def test_changes_beside_the_watched_directory_are_not_told(project, place):
    beside = place / "rootbeside"
    beside.mkdir(mode=0o777)
    beside.chmod(0o777)
    with watch(project.root) as heard:
        project.sh(f"echo > {beside}/file; chmod 600 {beside}/file; echo > here")
        assert heard.read().paths == {project.place("here")}


def test_a_change_through_a_link_is_told_where_it_happened(project, place):
    outside = place / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    project.sh(f"ln -s {outside} link; ln -s . loop; echo > file")
    with watch(project.root) as heard:
        project.sh("echo > link/outside; chmod 600 loop/loop/file")
        assert heard.read().paths == {project.place("file")}


def test_names_that_are_no_text_are_heard(project):
    with watch(project.root) as heard:
        project.sh(r"""touch "$(printf 'a\nb\377')" """)
        assert heard.read().paths == {project.place(os.fsdecode(b"a\nb\xff"))}


def test_more_changes_than_the_kernel_keeps_are_said_to_be_lost(project):
    most = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
    if most > 50_000:
        pytest.skip(f"the kernel keeps {most:,} changes: filling that takes too long")
    with watch(project.root) as heard:
        make = f"for number in range({most + 100}): open(str(number), 'w').close()"
        subprocess.run([sys.executable, "-c", make], cwd=project.path, check=True)
        assert heard.read().lost
        assert not heard.read().lost


@pytest.mark.usefixtures("people")
def test_without_the_right_to_watch_it_says_what_is_missing(place):
    done = without_sys_admin(
        "import sys, pathlib; from compute_agent.host import watch, errors\n"
        "try: watch.Watch(pathlib.Path(sys.argv[1]))\n"
        "except errors.HostError as error: print(error.cause, error.mend)",
        place,
    )
    assert done.startswith(f"The agent lacks CAP_SYS_ADMIN, which watching {place} needs.")


def without_sys_admin(program, *arguments):
    done = subprocess.run(
        ["setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, check=True, cwd=CHECKOUT, timeout=DEADLINE,
    )  # fmt: skip
    return done.stdout


@pytest.mark.usefixtures("people")
def test_a_file_system_that_cannot_be_watched_is_named():
    with pytest.raises(HostError, match=r"The file system at /proc cannot be watched"):
        Watch(Path("/proc/self"))


# --- what is done about it ------------------------------------------------------------------------


class Healed:
    """The projects of a root, healed by whole passes, each of which is counted."""

    def __init__(self, *projects):
        self.projects = {project.key: project for project in projects}
        self.passes = []
        self._more = asyncio.Condition()
        self.problems = []

    async def heal(self, key, places):
        await asyncio.to_thread(self.projects[key].secure)
        async with self._more:
            self.passes.append((key, places))
            self._more.notify_all()

    async def until(self, condition, what):
        async with self._more:
            try:
                await asyncio.wait_for(self._more.wait_for(condition), DEADLINE)
            except TimeoutError:
                raise AssertionError(f"{what}: not within {DEADLINE:g} s") from None

    def number_of(self, project):
        return sum(key == project.key for key, _ in self.passes)


@contextlib.asynccontextmanager
async def healed(*projects):
    healed = Healed(*projects)
    healing = Healing(healed.heal, lambda: healed.projects)
    watcher = begin(projects[0].root, healing, healed.problems.append)
    try:
        yield healed
    finally:
        watcher.stop()


async def test_an_apps_chmod_is_undone(project):
    project.sh("echo plan > plan")
    project.secure()
    async with healed(project) as node:
        project.sh("chmod g-w plan")
        assert not project.may_write("plan")
        await node.until(lambda: project.may_write("plan"), "Edda writes the plan again")


async def test_a_file_moved_in_becomes_the_teams(project, place):
    async with healed(project) as node:
        project.sh("umask 077; echo > /tmp/$$.aent; mv /tmp/$$.aent moved")
        await node.until(lambda: project.may_write("moved"), "Edda writes what was moved in")


async def test_a_tree_moved_in_becomes_the_teams(project):
    async with healed(project) as node:
        project.sh(
            "umask 077; mkdir -p /tmp/$$.aent/deep; echo > /tmp/$$.aent/deep/file; "
            "mv /tmp/$$.aent tree"
        )
        await node.until(lambda: project.may_write("tree/deep/file"), "Edda writes the tree")


async def test_a_file_made_for_its_maker_alone_becomes_the_teams(project):
    async with healed(project) as node:
        project.sh("umask 077; setfacl -b -k .; echo > closed")
        await node.until(lambda: project.may_read("closed"), "Edda reads the closed file")


async def test_setting_right_is_not_heard_as_a_change(project):
    other = Project(project.root, project.mira, project.edda, name="other")
    async with healed(project, other) as node:
        project.sh("umask 077; mkdir deep; echo > deep/file; chmod 700 .")
        await node.until(lambda: project.may_write("deep/file"), "Edda writes the file")
        passes = node.number_of(project)
        # What the pass itself did would have been told before this.
        other.sh("echo > file; chmod 600 file")
        await node.until(lambda: node.number_of(other), "the other project is set right")
        assert node.number_of(project) == passes


async def test_a_project_that_the_node_does_not_know_is_left_alone(project):
    stranger = Project(project.root, project.mira, project.edda, name="stranger")
    async with healed(project) as node:
        stranger.sh("chmod 700 .")
        project.sh("chmod 700 .")
        await node.until(lambda: node.passes, "the project that is known is set right")
        assert {key for key, _ in node.passes} == {project.key}


async def test_after_lost_changes_every_project_is_set_right(project):
    other = Project(project.root, project.mira, project.edda, name="other")
    healed = Healed(project, other)
    healing = Healing(healed.heal, lambda: healed.projects)
    healing.lost()
    await healed.until(lambda: len(healed.passes) == 2, "both are set right")
    assert set(healed.passes) == {(project.key, None), (other.key, None)}


# --- a node that watches --------------------------------------------------------------------------


@pytest.fixture
def watching_node(place, bare_environments, people):
    settings = bare_environments | small_apps(place) | {"watch": True}
    with running(Node(place, settings)) as node:
        yield node


def test_a_node_that_watches_undoes_what_a_program_does_to_rights(watching_node, people):
    mira, edda = people(make=True), people(make=True)
    team = [{"account": edda, "access": "rwx"}]
    app = watching_node.run("web", mira, members=team)
    place = watching_node.project(mira)
    made = as_user(mira, "sh", "-c", f"cd {place}; umask 077; mkdir d; echo > d/f; chmod 700 d .")
    assert made == (0, "")
    until(lambda: as_user(edda, "sh", "-c", f"echo > {place}/d/f")[0] == 0, "Edda writes the file")
    watching_node.stop(app)


def test_a_node_that_may_not_watch_says_so_and_goes_on(place, bare_environments, people):
    command = ["setpriv", "--bounding-set=-sys_admin", sys.executable]
    settings = bare_environments | small_apps(place) | {"watch": True}
    with running(Node(place, settings, command)) as node:
        status = node.call("GET", "/v1/health")[1]
        assert any("CAP_SYS_ADMIN" in problem for problem in status["problems"])
        mira = people()
        node.stop(node.run("web", mira))
