"""Why somebody may, or may not: the sentences, on real files of real accounts."""

import os
import pwd
import socket
import subprocess

import pytest

from compute_agent.host import accounts, acl, permissions
from compute_agent.host.expected import Asked
from compute_agent.host.explanation import explain
from compute_agent.host.permissions import Rules
from compute_agent.host.permissions.marks import Marker
from compute_agent.protocol import Explain, Member, Override, ProjectSpec

pytestmark = pytest.mark.host
AGAIN = "Start any app of the project: every start sets the rights again."


class Project:
    """Mira's project with the editor Edda and the viewer Vera; Otto is in no team."""

    def __init__(self, people, place):
        self.mira, self.edda, self.vera, self.otto = (people(make=True) for _ in range(4))
        self.path = place / "p"
        for name in ("notes/plan.txt", "public/page.txt"):
            file = self.path / name
            file.parent.mkdir(parents=True)
            file.write_text("x")
        subprocess.run(["chown", "-R", f"{self.mira}:{self.mira}", self.path], check=True)
        self.spec = ProjectSpec(
            "mira", "demo", self.mira, (Member(self.edda, "rwx"), Member(self.vera, "r-x"))
        )
        owner = pwd.getpwnam(self.mira)
        named = acl.named([(self.uid(self.edda), 7), (self.uid(self.vera), 5)])
        self.rules = Rules(owner.pw_uid, owner.pw_gid, named, frozenset({0}))
        self.secure()

    def secure(self, **changes):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            permissions.secure(fd, self.rules._replace(**changes))
        finally:
            os.close(fd)

    def uid(self, name):
        return pwd.getpwnam(name).pw_uid

    def explain(self, name, path="", overrides=()):
        spec = ProjectSpec("mira", "demo", self.mira, self.spec.members, tuple(overrides))
        account = accounts.existing(name, "")
        question = Explain("0" * 32, spec, name, path)
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return explain(fd, Asked(question, account, self.rules.owner, self.rules.spared))
        finally:
            os.close(fd)


@pytest.fixture
def project(people, place):
    return Project(people, place)


def why(answer):
    return answer.kind, answer.access, answer.cause, answer.mend


def test_the_owner_owns(project):
    assert why(project.explain(project.mira, "notes/plan.txt")) == (
        "file", "rw-", f"{project.mira} owns the project.", "",
    )  # fmt: skip


def test_a_member_may_what_the_role_says(project):
    edda, vera = project.edda, project.vera
    said = f"{edda} is in the team and may read and write."
    assert why(project.explain(edda, "notes")) == ("directory", "rwx", said, "")
    said = f"{vera} is in the team and may read, and not write."
    assert why(project.explain(vera, "notes/plan.txt")) == ("file", "r--", said, "")


def test_each_directory_on_the_way_is_shown_with_its_entry(project):
    looks = project.explain(project.vera, "notes/plan.txt").looks
    entry = f"user:{project.vera}:"
    assert [(look.path, look.entry, look.rights, look.effective) for look in looks] == [
        ("", entry, "r-x", "r-x"),
        ("notes", entry, "r-x", "r-x"),
        ("notes/plan.txt", entry, "r--", "r--"),
    ]


def test_a_stranger_can_be_added_to_the_team(project):
    otto = project.otto
    assert why(project.explain(otto, "notes/plan.txt")) == (
        "file", "---", f"{otto} is not in the project's team.",
        f"The owner or a manager can add {otto} to the team.",
    )  # fmt: skip


def test_everybody_may_read_what_is_public(project):
    assert why(project.explain(project.otto, "public/page.txt")) == (
        "file", "r--", "Everyone may read what lies in public.", "",
    )  # fmt: skip


def test_a_mask_that_cuts_is_named_with_what_it_leaves(project):
    (project.path / "notes/plan.txt").chmod(0o640)
    edda = project.edda
    assert why(project.explain(edda, "notes/plan.txt")) == (
        "file", "r--",
        f"The mask r-- of notes/plan.txt cuts {edda}'s rw- down to r--; a program changed the "
        "file's group rights (chmod).", AGAIN,
    )  # fmt: skip
    look = project.explain(edda, "notes/plan.txt").looks[-1]
    assert (look.rights, look.effective) == ("rw-", "r--")


def test_a_folder_that_is_closed_on_the_way_is_the_cause(project):
    (project.path / "notes").chmod(0o700)
    answer = project.explain(project.edda, "notes/plan.txt")
    assert (answer.access, answer.mend) == ("---", AGAIN)
    assert answer.cause.startswith(f"The mask --- of notes cuts {project.edda}'s rwx down to ---;")


def test_a_file_that_was_moved_in_has_no_entry_yet(project):
    outside = project.path.parent / "outside.txt"
    outside.write_text("x")
    os.chown(outside, project.rules.owner, project.rules.group)
    outside.chmod(0o600)
    outside.rename(project.path / "notes/new.txt")
    assert why(project.explain(project.edda, "notes/new.txt")) == (
        "file", "---",
        f"The access list of notes/new.txt has no entry for {project.edda}; it came to its place, "
        "or was changed, after the rights were last set.", AGAIN,
    )  # fmt: skip


def test_an_entry_that_a_program_changed_is_named(project):
    plan, edda = project.path / "notes/plan.txt", project.edda
    subprocess.run(["setfacl", "-m", f"u:{edda}:r", plan], check=True)
    answer = project.explain(edda, "notes/plan.txt")
    assert answer.access == "r--"
    assert answer.cause == (
        f"The entry user:{edda}: of notes/plan.txt gives only r--; "
        "a program changed the access list."
    )


def test_rights_that_nobody_gave_are_named(project):
    (project.path / "notes/plan.txt").chmod(0o664)
    answer = project.explain(project.otto, "notes/plan.txt")
    assert answer.access == "r--"
    assert answer.cause == (
        "The entry other:: of notes/plan.txt gives r--, and the team's rules say ---; "
        "a program changed it."
    )
    assert answer.mend == AGAIN


def test_an_override_is_named_as_the_cause(project):
    edda, plan = project.edda, project.path / "notes/plan.txt"
    override = Override("a" * 32, "notes", edda, "r-x")
    subprocess.run(["setfacl", "-m", f"u:{edda}:r", plan], check=True)
    assert why(project.explain(edda, "notes/plan.txt", [override])) == (
        "file", "r--", f"The rights of {edda} on notes were set to r-x by hand.",
        "The owner or a manager can change that under Permissions.",
    )  # fmt: skip


def test_a_restriction_that_a_file_took_along_is_named(project):
    edda = project.edda
    override = Override("a" * 32, "notes/plan.txt", edda, "---")
    uid = project.uid(edda)
    by_uid = permissions.Override(override.id, override.path, uid, 0)
    project.secure(overrides=(by_uid,))
    (project.path / "notes/plan.txt").rename(project.path / "public/moved.txt")
    project.secure(overrides=(by_uid,))
    assert why(project.explain(edda, "public/moved.txt", [override])) == (
        "file", "---",
        f"The rights of {edda} on notes/plan.txt were set to --- by hand, and a restriction goes "
        "where it is moved: public/moved.txt lay there once, or in it.",
        "The owner or a manager can change that under Permissions.",
    )  # fmt: skip


def test_what_another_project_restricts_is_named(project):
    plan = project.path / "notes/plan.txt"
    fd = os.open(plan.parent, os.O_RDONLY)  # for marks a project of another name
    Marker(fd, b"").write(str(plan), plan.stat().st_ino, ("a" * 32,))
    os.close(fd)
    plan.chmod(0o600)
    project.secure()
    answer = project.explain(project.edda, "notes/plan.txt")
    assert answer.access == "---"
    assert answer.cause == (
        "notes/plan.txt is restricted in a project that it was moved from, so it is kept closed."
    )


def test_a_file_of_root_is_left_as_it_is(project):
    roots = project.path / "notes/roots.txt"
    roots.write_text("x")
    roots.chmod(0o600)
    subprocess.run(["setfacl", "-b", roots], check=True)
    answer = project.explain(project.edda, "notes/roots.txt")
    assert answer.cause == (
        "notes/roots.txt belongs to root, and AEN leaves such files as they are."
    )


def test_a_file_that_cannot_change_says_so(project):
    plan = project.path / "notes/plan.txt"
    if subprocess.run(["chattr", "+i", plan], capture_output=True).returncode:
        pytest.skip("this file system has no immutable files")
    try:
        assert why(project.explain(project.edda, "notes/plan.txt")) == (
            "file", "r--", "notes/plan.txt is marked as immutable, so nobody can change it.",
            "An administrator can take the mark away: chattr -i",
        )  # fmt: skip
    finally:
        subprocess.run(["chattr", "-i", plan], check=True)


def test_a_mount_for_reading_only_says_so(project):
    if subprocess.run(["mount", "--bind", project.path, project.path]).returncode:
        pytest.skip("this machine does not allow a bind mount")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", project.path], check=True)
        answer = project.explain(project.edda, "notes/plan.txt")
        assert answer.access == "r--"
        assert "mounted read-only" in answer.cause
    finally:
        subprocess.run(["umount", project.path], check=True)


def test_a_link_is_not_followed(project):
    (project.path / "notes/away").symlink_to("/etc")
    answer = project.explain(project.edda, "notes/away")
    assert (answer.kind, answer.access) == ("other", "---")
    assert answer.cause.startswith("notes/away is a symbolic link, which AEN does not follow")
    assert project.explain(project.edda, "notes/away/passwd") == answer.__class__(
        answer.question_id, "other", "---", answer.looks, answer.cause,
        "Ask about the path behind the link.",
    )  # fmt: skip


def test_what_is_not_there_is_missing(project):
    answer = project.explain(project.edda, "notes/none/deeper")
    assert why(answer) == ("missing", "---", "There is no notes/none in the project.", "")
    answer = project.explain(project.edda, "notes/plan.txt/deeper")
    assert answer.cause == "notes/plan.txt is not a folder, so there is nothing in it."


def test_pipes_and_sockets_are_named_and_keep_nobody_waiting(project):
    os.mkfifo(project.path / "notes/pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(project.path / "notes/socket"))
    answer = project.explain(project.edda, "notes/pipe")
    assert answer.kind == "other"
    assert answer.cause == (
        "notes/pipe is a pipe, neither file nor folder: AEN leaves its rights alone."
    )
    assert "a socket" in project.explain(project.edda, "notes/socket").cause


def test_a_directory_above_the_project_that_is_closed_is_the_cause(project):
    above = project.path.parent
    above.chmod(0o700)
    answer = project.explain(project.edda, "notes/plan.txt")
    assert (answer.access, answer.mend) == (
        "---", f"An administrator can open it: chmod o+x {above}",
    )  # fmt: skip
    assert answer.cause == (
        f"The directory {above}, outside the project, does not let {project.edda} pass."
    )


def test_a_very_deep_path_has_a_short_answer(project):
    path = "/".join(["d" * 10] * 360)
    fd = os.open(project.path, os.O_RDONLY)
    for part in path.split("/"):
        os.mkdir(part, dir_fd=fd)
        fd, above = os.open(part, os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    os.close(fd)
    answer = project.explain(project.edda, path)
    assert answer.kind == "directory"
    assert len(answer.looks) == 40
    assert answer.looks[-1].path == path
    subprocess.run(["rm", "-r", project.path / ("d" * 10)], check=True)


def test_a_person_who_owns_a_file_has_the_owners_rights_of_it(project):
    file = project.path / "notes/plan.txt"
    os.chown(file, project.uid(project.vera), -1)
    answer = project.explain(project.vera, "notes/plan.txt")
    assert answer.access == "rw-"
    assert answer.cause == (
        f"{project.vera} made notes/plan.txt and so owns it; the team's rules alone would give r--."
    )
