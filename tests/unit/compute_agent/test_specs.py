"""What the node remembers of projects: the newest word counts, whatever arrives when."""

import stat

from compute_agent.protocol import Member, ProjectSpec
from compute_agent.specs import Specs


def spec(revision, *members):
    people = tuple(Member(name, "rwx") for name in members)
    return ProjectSpec("mira", "lake", "mira", people, revision=revision)


def test_a_newer_team_replaces_an_older_one(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(1, "edda"))
    assert specs.newest(spec(2)) == spec(2)


def test_a_late_launch_does_not_bring_a_removed_member_back(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(2))
    assert specs.newest(spec(1, "edda")) == spec(2)


def test_it_is_remembered_by_the_next_agent(tmp_path):
    Specs(tmp_path).newest(spec(2))
    assert Specs(tmp_path).newest(spec(1, "edda")) == spec(2)


def test_what_was_not_applied_to_its_end_is_found_again(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(1))
    other = ProjectSpec("mira", "river", "mira")
    specs.newest(other)
    specs.settle(other)
    assert Specs(tmp_path).unsettled() == [spec(1)]


def test_settling_an_older_team_settles_nothing(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(1, "edda"))
    specs.newest(spec(2))
    specs.settle(spec(1, "edda"))
    assert specs.unsettled() == [spec(2)]


def test_a_removed_project_is_forgotten(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(2))
    specs.known_tree(spec(2)).write_text("what the pass saw")
    specs.forget(spec(2))
    assert specs.newest(spec(1, "edda")) == spec(1, "edda")
    assert not specs.known_tree(spec(2)).exists()


def test_nobody_else_can_read_it(tmp_path):
    Specs(tmp_path / "specs").newest(spec(1))
    assert stat.S_IMODE((tmp_path / "specs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "specs/mira/lake.json").stat().st_mode) == 0o600


def test_a_damaged_file_is_as_good_as_none(tmp_path):
    specs = Specs(tmp_path)
    specs.newest(spec(2))
    (tmp_path / "mira/lake.json").write_text("{")
    assert Specs(tmp_path).newest(spec(1)) == spec(1)
