"""Environments and project directories on a real machine."""

import json
import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest
from node_client import as_user, until

from compute_agent.config import Config
from compute_agent.environments import Environments
from compute_agent.environments.clone import Clone
from compute_agent.host import directories
from compute_agent.host.accounts import Accounts
from compute_agent.host.errors import HostError

pytestmark = pytest.mark.host


@pytest.fixture
def template(environments):
    return Environments(Config(**environments)).ensure("default")


def test_a_clone_works_for_its_user(clone):
    path, mira = clone
    program = "import numpy, pandas, sys; print(sys.prefix, pandas.DataFrame({'a': [1]}).a.sum())"
    assert as_user(mira, path / "bin/python", "-c", program) == (0, f"{path} 1\n")


def test_a_clone_shares_its_files_with_the_template(clone, template):
    path, _ = clone
    module = next(path.glob("lib/python*/site-packages/numpy/__init__.py"))
    assert module.samefile(template / module.relative_to(path))
    assert module.stat().st_uid == 0


def test_a_clone_takes_little_new_disk(clone, template):
    path, _ = clone
    infos = [file.lstat() for file in path.rglob("*")]
    new = sum(info.st_blocks for info in infos if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1)
    whole = sum(file.lstat().st_blocks for file in template.rglob("*"))
    assert new < whole / 20


def test_a_user_adds_and_replaces_packages_but_cannot_write_into_shared_files(clone, template):
    path, mira = clone
    module = next(path.glob("lib/python*/site-packages/six.py"), None) or next(
        path.glob("lib/python*/site-packages/typing_extensions.py")
    )
    before = (template / module.relative_to(path)).read_bytes()
    assert as_user(mira, "sh", "-c", 'echo changed >> "$1"', "sh", module)[0] != 0
    assert as_user(mira, "sh", "-c", 'rm -f "$1"; echo mine > "$1"', "sh", module)[0] == 0
    assert module.read_text() == "mine\n"
    assert (template / module.relative_to(path)).read_bytes() == before


def test_a_clones_scripts_are_its_own(clone):
    path, mira = clone
    info = (path / "bin/pip").stat()
    assert info.st_uid == pwd.getpwnam(mira).pw_uid
    assert info.st_nlink == 1
    code, said = as_user(mira, path / "bin/pip", "--version")
    assert code == 0
    assert str(path) in said


def test_bytecode_of_a_clone_is_used_as_it_is(clone):
    path, mira = clone
    program = "import sys; sys.dont_write_bytecode = True; import numpy"
    code, said = as_user(mira, path / "bin/python", "-v", "-c", program)
    assert code == 0
    wrote = [line for line in said.splitlines() if "code object from" in line and "'/" in line]
    compiled = [line for line in wrote if f"{path}/lib" in line and ".pyc" not in line]
    assert compiled == []


def test_a_clone_to_another_disk_is_a_copy(bare_environments, people):
    template = Environments(Config(**bare_environments)).ensure("default")
    account = pwd.getpwnam(people(make=True))
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == template.stat().st_dev:
        pytest.skip("there is no second file system to copy to")
    place = shared / f"aent{os.getpid()}"
    place.mkdir(mode=0o711)
    try:
        clone = Clone(account.pw_uid, account.pw_gid)
        with directories.opened(place) as parent:
            clone.make(template, parent, "copy", place / "copy")
        program = "import sys; print(sys.prefix)"
        said = as_user(account.pw_name, place / "copy/bin/python", "-c", program)
        assert said == (0, f"{place}/copy\n")
        assert not clone.linked
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


def test_a_changed_lock_makes_a_new_template_beside_the_old(bare_environments, place):
    settings = Config(**bare_environments | {"state_dir": str(place / "s")})
    first = Environments(settings).ensure("default")
    assert Environments(settings).ensure("default") == first
    lock = place / "other.txt"
    lock.write_text("# other\n")
    changed = Config(**bare_environments | {
        "state_dir": settings.state_dir, "default_lock": str(lock)
    })  # fmt: skip
    second = Environments(changed).ensure("default")
    assert second != first
    assert (Path(settings.state_dir) / "environments/default").resolve() == second


@pytest.mark.skipif(os.geteuid() != 0, reason="not as root, no other account needs to reach it")
def test_nobody_can_hold_the_locks_that_builds_wait_for(template, people):
    mira = people(make=True)
    state = template.parents[1]
    held = [state / "environments/.default.lock", state / "cache/uv/.lock"]
    for path in held:
        assert path.exists()
        for mode in ("rb", "r+b"):
            code, said = as_user(mira, "/usr/bin/python3", "-c", f"open({str(path)!r}, {mode!r})")
            assert code != 0 and "PermissionError" in said


def test_an_interpreter_out_of_reach_is_named(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("whether other accounts reach the interpreter matters as root only")
    hidden = tmp_path / "python"
    hidden.write_text("")
    tmp_path.chmod(0o700)
    settings = Config(state_dir=str(tmp_path), python=str(hidden))
    with pytest.raises(HostError, match="Other accounts cannot reach") as caught:
        Environments(settings).ensure("default")
    assert "Set python" in caught.value.mend


def test_a_project_is_made_from_the_skeleton_and_belongs_to_its_owner(place, people, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/hello.txt").write_text("hello")
    mira = Accounts(place, "aen", True).person(people())
    root = place / "projects"
    assert directories.ensure_project(root, "mira", "demo", mira, tmp_path).startswith("created")
    made = root / "mira/demo/docs/hello.txt"
    assert made.read_text() == "hello"
    assert {path.stat().st_uid for path in (made, made.parent, root / "mira/demo")} == {mira.uid}
    assert directories.ensure_project(root, "mira", "demo", mira, tmp_path) == "present"


@pytest.mark.rule(1)
def test_what_a_killed_start_left_is_no_project(place, people, tmp_path):
    mira = Accounts(place, "aen", True).person(people())
    root = place / "projects"
    (root / "mira/.demo.0badcafe").mkdir(parents=True)
    directories.ensure_project(root, "mira", "demo", mira, tmp_path)
    assert [path.name for path in (root / "mira").iterdir()] == ["demo"]


def test_a_link_in_the_place_of_a_project_is_refused(place, people, tmp_path):
    mira = Accounts(place, "aen", True).person(people())
    root = place / "projects"
    (root / "mira").mkdir(parents=True)
    (root / "mira/demo").symlink_to(tmp_path)
    with pytest.raises(HostError, match="is not a directory"):
        directories.ensure_project(root, "mira", "demo", mira, tmp_path)


def test_a_folder_of_projects_that_a_user_could_change_is_refused(place, people, tmp_path):
    mira = Accounts(place, "aen", True).person(people())
    root = place / "projects"
    (root / "mira").mkdir(parents=True)
    os.chown(root / "mira", mira.uid, mira.gid)
    with pytest.raises(HostError, match="links could be put into it"):
        directories.ensure_project(root, "mira", "demo", mira, tmp_path)


def test_a_directory_of_somebody_else_is_refused(place, people, tmp_path):
    mira, otto = (Accounts(place, "aen", True).person(people()) for _ in range(2))
    root = place / "projects"
    directories.ensure_project(root, "mira", "demo", otto, tmp_path)
    with pytest.raises(HostError, match=f"not to {mira.name}"):
        directories.ensure_project(root, "mira", "demo", mira, tmp_path)


def test_an_envs_that_is_a_link_is_not_followed(small_node, people, place):
    mira = people()
    app_id = small_node.run("web", mira)
    small_node.stop(app_id)
    project = small_node.project(mira)
    subprocess.run(["rm", "-rf", project / "envs"], check=True)
    victim = place / "victim"
    victim.mkdir()
    assert as_user(mira, "ln", "-s", victim, project / "envs")[0] == 0
    status = small_node.wait(small_node.launch("web", mira)[0], "failed")
    assert status["cause"] == "envs/default in the project is not an environment."
    assert list(victim.iterdir()) == []


def test_a_removed_project_ends_its_apps_and_is_gone(small_node, people):
    mira = people()
    gone, kept = small_node.run("web", mira), small_node.run("web", mira, "other")
    project = {"owner": mira, "name": "demo", "owner_account": mira}
    assert small_node.command(type="remove_project", project=project)[0] == 202
    small_node.wait(gone, "stopped")
    until(lambda: not small_node.project(mira).exists(), "the directory is gone")
    assert small_node.status(kept)["state"] == "running"
    assert small_node.project(mira, "other").exists()


def test_full_disks_are_named(small_node, people, place):
    disk = place / "projects"
    disk.mkdir()
    options = "size=64k,nr_inodes=14,mode=0755"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk]).returncode:
        pytest.skip("this machine does not allow a small file system to be mounted")
    try:
        status = small_node.wait(small_node.launch("web", people())[0], "failed")
        assert status["cause"] == f"The disk that holds {disk} is full."
        assert status["mend"].startswith("Remove files")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_node_tells_what_it_is(small_node):
    status, said = small_node.call("GET", "/v1/health")
    assert status == 200
    assert (said["type"], said["mode"], said["account"]) == ("node", "root", "root")
    assert [app["name"] for app in said["apps"]][:3] == ["notebook", "lab", "terminal"]
    assert 0 < said["memory_used"] < said["memory_total"]
    assert json.dumps(said["problems"]) == "[]"


def test_a_template_built_anew_stays_also_where_the_state_is_reached_through_a_link(
    place, bare_environments
):
    (place / "real").mkdir()
    (place / "state").symlink_to(place / "real")
    lock = place / "lock.txt"
    for text in ("", "# another\n"):
        lock.write_text(text)
        settings = bare_environments | {
            "state_dir": str(place / "state"),
            "default_lock": str(lock),
        }
        built = Environments(Config(**settings)).ensure("default")
        assert (built / "bin/python").exists()
    assert len(list((place / "real/environments").glob("default-*"))) == 1


def test_a_new_environment_needs_no_second_look_at_its_rights(small_node, people):
    """What it inherits is right, so a later start finds nothing to change."""
    mira = people()
    small_node.stop(small_node.run("web", mira))
    app_id = small_node.run("web", mira)
    steps = {step["step"]: step["fact"] for step in small_node.status(app_id)["progress"]}
    assert "changed" not in steps["permissions"].replace("unchanged", "")
