"""Files and directories that the set-up makes."""

import errno
import json
import os
from pathlib import Path

import pytest

from deploy import directories, node_config, options, paths, readiness, secret_files
from deploy.prepare_server import write_gateway_config
from deploy.say import Problem

UID, GID = os.getuid(), os.getgid()
LAYOUT = paths.Layout(Path("/srv/aen"), Path("/run/aen-x"))


@pytest.fixture
def layout(tmp_path):
    return paths.Layout(tmp_path / "home", tmp_path / "run")


def test_a_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "secret_key"
    assert secret_files.ensure(path, UID, GID) is True
    first = path.read_text()
    assert secret_files.ensure(path, UID, GID) is False
    assert path.read_text() == first
    assert len(first.strip()) >= 50
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_in_place_of_a_secret_is_not_written_through(tmp_path):
    (tmp_path / "secret_key").symlink_to(tmp_path / "elsewhere")
    secret_files.ensure(tmp_path / "secret_key", UID, GID)
    assert not (tmp_path / "elsewhere").exists()


def test_directories_are_made_with_their_modes_whatever_the_umask(layout):
    before = os.umask(0o077)
    layout.home.mkdir()
    directories.make(layout, directories.Owner(UID, GID))
    os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in layout.home.iterdir()}
    assert modes["gateway"] == 0o700
    assert modes["node"] == 0o755
    assert modes["log"] == 0o750


def test_a_link_in_place_of_a_directory_is_refused(layout, tmp_path):
    layout.home.mkdir()
    (tmp_path / "etc").mkdir()
    (layout.home / "gateway").symlink_to(tmp_path / "etc")
    with pytest.raises(OSError):
        directories.make(layout, directories.Owner(UID, GID))


def test_a_full_disk_is_told_with_numbers(layout, monkeypatch):
    layout.home.mkdir()
    monkeypatch.setattr(directories, "_ROOM", 10**18)
    with pytest.raises(Problem, match="too little room"):
        directories.require_room(layout)


def test_a_file_system_without_acls_is_told_by_its_mount(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(Problem) as found:
        directories.require_acls(tmp_path)
    assert str(directories.mount_of(tmp_path)) in found.value.title
    assert "AEN_PROJECT_ROOT" in found.value.mend


def test_a_file_system_with_acls_is_fine(tmp_path):
    directories.require_acls(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_options_that_people_set_for_the_node_are_kept(layout):
    layout.node.mkdir(parents=True)
    layout.node_config.write_text(json.dumps({"stop_grace": 9, "listen": "unix:/old"}))
    node_config.write(layout, options.read({}, UID, layout))
    written = json.loads(layout.node_config.read_text())
    assert written["stop_grace"] == 9
    assert written["listen"] == f"unix:{layout.agent_socket}"


def test_a_node_configuration_that_is_not_json_is_named(layout):
    layout.node.mkdir(parents=True)
    layout.node_config.write_text("{,}")
    with pytest.raises(Problem, match="is not JSON"):
        node_config.write(layout, options.read({}, UID, layout))


def test_what_people_set_for_the_gateway_is_kept(tmp_path):
    path = tmp_path / "gateway.json"
    path.write_text('{"grace": 5, "server": "http://old"}')
    write_gateway_config(path, {"server": "http://new"})
    assert json.loads(path.read_text()) == {"grace": 5, "server": "http://new"}


def test_control_characters_of_a_log_do_not_reach_the_terminal(tmp_path):
    logs = readiness.Logs(tmp_path)
    (tmp_path / "x.log").write_text("one\x1b[31mred\nlast\n")
    assert logs.tail("x.log") == "one[31mred\nlast"


def test_what_a_log_held_before_is_not_told_again(tmp_path):
    (tmp_path / "x.log").write_text("of an earlier run\n")
    logs = readiness.Logs(tmp_path)
    with (tmp_path / "x.log").open("a") as file:
        file.write("of this run\n")
    assert logs.tail("x.log") == "of this run"


def test_a_project_root_that_people_cannot_reach_is_refused(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    chosen = options.read({"AEN_PROJECT_ROOT": str(closed / "projects")}, 0, LAYOUT)
    with pytest.raises(Problem, match="out of reach"):
        directories.make_project_root(chosen)


def test_in_single_mode_the_project_root_is_the_persons_alone(tmp_path):
    root = tmp_path / "projects"
    single = options.read({"AEN_PROJECT_ROOT": str(root)}, 65534, LAYOUT)
    directories.make_project_root(single)
    assert root.stat().st_mode & 0o777 == 0o700
