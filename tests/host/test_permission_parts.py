"""Setting right only what was touched: the same rules, and never more than a whole pass would do."""

import os
import pwd

import pytest
from node_client import as_user

from compute_agent.host import acl
from compute_agent.host.permissions import Override, Rules, secure, secure_parts

pytestmark = pytest.mark.host
LONG = 60.0


@pytest.fixture
def project(people, place):
    return Project(place / "p", people(make=True), people(make=True))


class Project:
    """Mira's project, which Edda edits, with a file in each of some folders."""

    def __init__(self, path, mira, edda):
        self.path, self.mira, self.edda = path, mira, edda
        owner, editor = pwd.getpwnam(mira), pwd.getpwnam(edda)
        self.editor = editor.pw_uid
        path.mkdir()
        os.chown(path, owner.pw_uid, owner.pw_gid)
        members = acl.named([(editor.pw_uid, 7)])
        self.rules = Rules(owner.pw_uid, owner.pw_gid, members, frozenset({0}))
        self.sh(
            "mkdir -p one/deep two public; for d in . one one/deep two public; do echo > $d/f; done"
        )
        self.whole()

    def sh(self, command):
        code, said = as_user(self.mira, "sh", "-c", f"cd {self.path}; {command}")
        assert code == 0, said

    def whole(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return secure(fd, self.rules)
        finally:
            os.close(fd)

    def parts(self, *places, seconds=LONG):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return secure_parts(fd, self.rules, map(os.fsencode, places), seconds)
        finally:
            os.close(fd)

    def may_write(self, name):
        return as_user(self.edda, "sh", "-c", 'echo >> "$1"', "sh", self.path / name)[0] == 0


def test_what_was_touched_is_set_right_and_nothing_beside_it(project):
    project.sh("chmod 600 one/deep/f two/f")
    assert project.parts("one/deep/f").changed == 1
    assert project.may_write("one/deep/f")
    assert not project.may_write("two/f")


def test_a_folder_is_set_right_with_all_below_it(project):
    project.sh(
        "umask 077; mkdir -p /tmp/$$.aent/a/b; echo > /tmp/$$.aent/a/b/f; mv /tmp/$$.aent in"
    )
    project.parts("in")
    assert project.may_write("in/a/b/f")


def test_folders_on_the_way_are_set_right_too(project):
    project.sh("chmod 700 one; chmod 600 one/deep/f")
    project.parts("one/deep/f")
    assert project.may_write("one/deep/f")


def test_it_does_just_what_a_whole_pass_would(project):
    uid = project.editor
    overrides = (Override("a" * 32, "one", uid, 5), Override("b" * 32, "one/deep/f", uid, 7))
    project.rules = project.rules._replace(overrides=overrides)
    project.whole()
    project.sh("chmod 600 f one/f one/deep/f public/f; chmod 700 one/deep public")
    project.parts("f", "one/f", "one/deep", "one/deep/f", "public/f", "public")
    assert project.may_write("f")
    assert not project.may_write("one/f")
    assert project.may_write("one/deep/f")
    assert (project.path / "public/f").stat().st_mode & 0o004
    assert project.whole().changed == 0


def test_what_is_gone_is_passed_over(project):
    assert project.parts("nowhere/f", "one/nothing").changed == 0


def test_links_are_not_followed(project, place):
    outside = place / "outside"
    outside.mkdir(mode=0o700)
    (outside / "f").write_text("")
    project.sh(f"ln -s {outside} link")
    before = (outside / "f").stat()
    project.parts("link", "link/f")
    assert (outside / "f").stat() == before


def test_a_file_with_links_elsewhere_needs_a_whole_pass(project, place):
    beside = place / "beside"
    project.sh("chmod 600 one/f")
    os.chown(project.path / "one/f", project.editor, -1)
    os.link(project.path / "one/f", beside)
    assert project.parts("one/f") is None


def test_what_takes_too_long_needs_a_whole_pass(project):
    assert project.parts("one/f", seconds=-1.0) is None
