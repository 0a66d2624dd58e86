"""The first start of a project on a node, and every later one."""

import stat

import pytest
from team import getfacl, snapshot

pytestmark = [pytest.mark.host, pytest.mark.rule(1)]


def test_the_first_start_makes_the_project_from_the_skeleton_with_its_environment(
    small_node, people
):
    mira, edda = people(), people()
    project = small_node.project(mira)
    assert not project.exists()
    small_node.run("web", mira, members=[{"account": edda, "access": "rwx"}])
    assert (project / "README.md").is_file()
    assert (project / "public").is_dir()
    assert (project / "envs/default/bin/python").exists()
    assert "mask::rwx" in getfacl(project)
    assert not [entry for entry in getfacl(project) if "effective" in entry]
    assert stat.S_IMODE(project.stat().st_mode) & 0o007 == 0o001


@pytest.mark.rule(17)
def test_a_start_of_a_started_project_changes_nothing(small_node, people):
    mira, members = people(), [{"account": people(), "access": "rwx"}]
    small_node.stop(small_node.run("web", mira, members=members))
    project = small_node.project(mira)
    before = {path: found for path, found in snapshot(project).items() if "/envs" not in path}
    rights = {path: (*found[:3], found[4]) for path, found in snapshot(project).items()}
    small_node.stop(small_node.run("web", mira, members=members))
    after = snapshot(project)
    assert {path: after[path] for path in before} == before
    assert {path: (*found[:3], found[4]) for path, found in after.items()} == rights
