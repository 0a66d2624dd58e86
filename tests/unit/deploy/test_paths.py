"""Where a site keeps its things."""

import os
from pathlib import Path

import pytest

from deploy import paths
from deploy.say import Problem

CHECKOUT = Path("/src/aen")


def test_roots_site_lies_in_var_lib():
    found = paths.locate({}, 0, CHECKOUT)
    assert (found.home, found.run) == (Path("/var/lib/aen"), Path("/run/aen"))


def test_another_ones_site_lies_in_the_checkout():
    assert paths.locate({}, 1000, CHECKOUT).home == CHECKOUT / "var"


def test_aen_home_moves_the_site_and_gives_it_sockets_of_its_own():
    one = paths.locate({"AEN_HOME": "/srv/one"}, 0)
    two = paths.locate({"AEN_HOME": "/srv/two"}, 0)
    assert one.home == Path("/srv/one")
    assert one.run != two.run
    assert one.run.name.startswith("aen-")


def test_a_site_that_nobody_named_is_asked_for():
    with pytest.raises(Problem, match="AEN_HOME is not set"):
        paths.locate({}, 1000)


def test_a_run_directory_too_long_for_sockets_is_refused_with_the_variable_that_mends_it():
    with pytest.raises(Problem) as found:
        paths.locate({"AEN_RUN_DIR": "/run/" + "x" * 60}, 0)
    assert "AEN_RUN_DIR" in found.value.mend


def test_a_long_aen_home_needs_no_long_sockets():
    home = "/srv/" + "x" * 200
    assert len(str(paths.locate({"AEN_HOME": home}, 1000).run)) <= paths.LONGEST_RUN_DIR


def test_the_users_runtime_directory_is_taken_when_it_is_theirs(tmp_path):
    env = {"AEN_HOME": "/srv/one", "XDG_RUNTIME_DIR": str(tmp_path)}
    ours = paths.default_run(env, os.getuid() or 1000, Path("/srv/one"))
    theirs = paths.default_run(env, 4321, Path("/srv/one"))
    assert ours.parent == (tmp_path if os.getuid() else Path("/tmp"))
    assert theirs.parent == Path("/tmp")


def test_a_run_directory_is_made_for_us_alone(tmp_path):
    run = tmp_path / "run"
    paths.make_run(run, os.getuid())
    assert run.stat().st_mode & 0o777 == (0o755 if os.getuid() == 0 else 0o700)


def test_a_run_directory_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    with pytest.raises(Problem, match="belongs to someone else"):
        paths.make_run(tmp_path / "run", os.getuid())


def test_a_run_directory_of_another_account_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(Problem, match="belongs to someone else"):
        paths.make_run(tmp_path / "run", os.getuid() + 1)


def test_an_aen_home_that_configuration_files_cannot_carry_is_refused():
    with pytest.raises(Problem, match="AEN_HOME cannot lie"):
        paths.locate({"AEN_HOME": "/srv/100%"}, 0)
