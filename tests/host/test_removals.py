"""Projects that are deleted and made again under the same name, as fast as a person can click."""

import pytest
from node_client import as_user, spec, until

pytestmark = pytest.mark.host


def test_an_app_launched_after_a_removal_is_not_part_of_it(small_node, people):
    mira = people()
    old = small_node.run("stubborn", mira)  # takes the whole grace to end
    assert as_user(mira, "touch", small_node.project(mira) / "old")[0] == 0
    assert small_node.command(type="remove_project", project=spec(mira))[0] == 202
    new = small_node.launch("web", mira)[0]
    status = small_node.wait(new, "running")
    assert small_node.status(old)["state"] == "stopped"
    steps = {step["step"]: step["fact"] for step in status["progress"]}
    assert steps["directory"] == "created from the skeleton"
    assert not (small_node.project(mira) / "old").exists()
    owner = small_node.project(mira).parent
    until(lambda: [path.name for path in owner.iterdir()] == ["demo"], "the old one is deleted")
    assert small_node.status(new)["state"] == "running"
    assert (small_node.project(mira) / "README.md").exists()


def test_several_removals_in_a_row_each_take_what_was_there(small_node, people):
    mira = people()
    apps = [small_node.run("stubborn", mira)]
    for _ in range(3):
        assert small_node.command(type="remove_project", project=spec(mira))[0] == 202
        apps.append(small_node.launch("web", mira)[0])
    small_node.wait(apps[-1], "running")
    assert [small_node.status(app)["state"] for app in apps[:-1]] == ["stopped"] * 3


def test_a_launch_that_waits_for_a_removal_can_be_stopped(small_node, people):
    mira = people()
    small_node.run("stubborn", mira)
    assert small_node.command(type="remove_project", project=spec(mira))[0] == 202
    new = small_node.launch("web", mira)[0]
    assert small_node.stop(new)["cause"] == ""
    until(lambda: not list(small_node.project(mira).parent.iterdir()), "nothing is left")


def test_what_a_killed_agent_only_set_aside_is_deleted_by_the_next(small_node, people):
    mira = people()
    small_node.stop(small_node.run("web", mira))
    small_node.kill()
    aside = small_node.project(mira).rename(small_node.root / mira / ".demo.0123abcd.gone")
    small_node.start()
    until(lambda: not aside.exists(), "it is deleted")


def test_an_agent_killed_in_a_removal_leaves_a_free_place(small_node, people):
    mira = people()
    old = small_node.run("stubborn", mira)
    assert small_node.command(type="remove_project", project=spec(mira))[0] == 202
    until(lambda: not small_node.project(mira).exists(), "the place is free")
    small_node.kill()
    small_node.start()
    small_node.wait(old, "stopped")
    app_id = small_node.run("web", mira)
    assert small_node.status(app_id)["progress"][1]["fact"] == "created from the skeleton"


def test_an_app_that_is_being_stopped_is_forgotten_at_its_end(small_node, people):
    app_id = small_node.run("stubborn", people())
    assert small_node.command(type="stop", app_id=app_id)[0] == 202
    assert small_node.command(type="forget", app_id=app_id)[0] == 202
    small_node.wait(app_id, "stopped")
    until(lambda: small_node.status(app_id) is None, "it is forgotten")
    assert not small_node.directory(app_id).exists()


def test_what_a_user_nests_without_end_keeps_no_app_from_ending(small_node, people):
    mira = people()
    app_id = small_node.run("web", mira)
    nest = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
    user_part = small_node.directory(app_id) / "u"
    done = as_user(mira, "sh", "-c", f'cd {user_part} && exec /usr/bin/python3 -c "{nest}"')
    assert done == (0, "")
    small_node.stop(app_id)
    assert not user_part.exists()


def test_a_stop_right_behind_its_launch_is_taken(small_node, people):
    mira = people()
    for _ in range(20):
        app_id = small_node.launch("web", mira)[0]
        assert small_node.command(type="stop", app_id=app_id)[0] == 202
        small_node.wait(app_id, "stopped")
