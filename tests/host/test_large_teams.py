"""A team of more people than an access list can name goes by groups, with the same rights."""

import grp
import os
import pwd
import subprocess

import pytest
from node_client import as_user

from compute_agent import people as its_people
from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.project import Projects
from compute_agent.protocol import Member, ProjectSpec

pytestmark = pytest.mark.host


class Node:
    """Projects of a node on which two people make a large team."""

    def __init__(self, place, people):
        self.config = Config(
            project_root=str(place / "projects"), state_dir=str(place / "state"),
            run_dir=str(place / "r"), service_account="",
        )  # fmt: skip
        (place / "state").mkdir()
        self.projects = Projects(self.config, Environments(self.config))
        self.known = place / "known"
        self.mira, self.otto = people(make=True), people(make=True)
        self.team = sorted((people(make=True) for _ in range(4)), key=uid)

    def spec(self, editors, viewers=()):
        members = [Member(name, "rwx") for name in editors]
        members += [Member(name, "r-x") for name in viewers]
        return ProjectSpec(self.mira, "demo", self.mira, tuple(members))

    def secure(self, spec):
        self.projects.make_directory(spec)
        begun = self.projects.begin_pass(spec, self.known)
        assert begun.first(30)
        begun.close()

    def may(self, name, action):
        """Try something with a file of the project as an app of ``name`` would."""
        account = self.projects.people.account_of_app(name, self.spec(self.team), False)
        path = self.projects.home(self.spec(())) / "README.md"
        command = {"read": ["cat", path], "write": ["sh", "-c", 'echo x >> "$1"', "sh", path]}
        done = subprocess.run(
            command[action], user=account.uid, group=account.gid, extra_groups=account.groups,
            capture_output=True, cwd="/",
        )  # fmt: skip
        return done.returncode == 0


def uid(name):
    return pwd.getpwnam(name).pw_uid


@pytest.fixture
def node(place, people, monkeypatch):
    monkeypatch.setattr(its_people, "MOST_NAMED", 2)
    made = Node(place, people)
    yield made
    made.projects.set_aside(made.spec(()))


def groups():
    return {entry.gr_name for entry in grp.getgrall() if entry.gr_name.startswith("aenp-")}


def entries(node):
    home = node.projects.home(node.spec(()))
    listed = subprocess.run(["getfacl", "-cpn", home], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.split() if not line.startswith("default:")]


def test_everybody_of_a_large_team_has_their_rights(node):
    *editors, viewer = node.team
    node.secure(node.spec(editors, [viewer]))
    assert all(node.may(name, "read") for name in node.team)
    assert all(node.may(name, "write") for name in editors)
    assert not node.may(viewer, "write")
    assert not node.may(node.otto, "read")


def test_it_is_named_as_far_as_there_is_room_and_by_two_groups(node):
    *editors, viewer = node.team
    node.secure(node.spec(editors, [viewer]))
    found = entries(node)
    assert sum(line.startswith("user:") for line in found) == 1 + 2
    assert sum(line.startswith("group:") for line in found) == 1 + 2


def test_an_app_that_ran_before_the_team_grew_keeps_its_rights(node):
    first = node.team[0]
    node.secure(node.spec([first]))
    node.secure(node.spec(node.team))
    path = node.projects.home(node.spec(())) / "README.md"
    without_groups = ["sh", "-c", 'echo x >> "$1"', "sh", path]
    assert subprocess.run(without_groups, user=uid(first), group=uid(first)).returncode == 0


def test_the_groups_go_when_the_team_is_small_again(node):
    before = groups()
    node.secure(node.spec(node.team))
    assert len(made := groups() - before) == 1
    node.secure(node.spec(node.team[:2]))
    assert not made & groups()
    assert node.may(node.team[0], "write")
    assert not node.may(node.team[3], "read")


def test_the_groups_go_with_the_project(node):
    before = groups()
    spec = node.spec(node.team)
    node.secure(spec)
    made = groups() - before
    assert made
    node.projects.set_aside(spec)
    assert not made & groups()


def test_an_app_of_another_project_does_not_get_the_group(node):
    node.secure(node.spec(node.team))
    last = node.team[3]
    elsewhere = ProjectSpec(last, "own", last)
    account = node.projects.people.account_of_app(last, elsewhere, False)
    made = {grp.getgrnam(name).gr_gid for name in groups()}
    assert not made & set(account.groups)
    path = node.projects.home(node.spec(())) / "README.md"
    assert as_user(last, "id")[0] == 0
    seen = subprocess.run(
        ["cat", path], user=account.uid, group=account.gid, extra_groups=account.groups,
        capture_output=True,
    )  # fmt: skip
    assert seen.returncode != 0
    assert os.path.exists(path)
