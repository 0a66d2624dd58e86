"""What each process is given in its environment."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from deploy import environment, options, paths
from deploy.say import Problem

ME = pwd.getpwuid(os.getuid()).pw_name
SET = {
    "AEN_ADMIN_PASSWORD": "hush",
    "AEN_DATABASE_URL": "postgresql://u:secret@h/d",
    "AEN_ACCESS_TTL": "3",
    "AEN_MAIL_PASSWORD": "mail",
}


@pytest.fixture
def layout(tmp_path):
    (tmp_path / "etc").mkdir()
    return paths.Layout(tmp_path, Path("/run/aen-x"))


def given(role, layout):
    chosen = options.read(SET, os.getuid(), layout)
    return environment.base(SET, ME) | environment.of_role(role, chosen, layout)


@pytest.mark.parametrize("role", environment.ROLES)
def test_the_administrators_password_reaches_no_process(role, layout):
    assert "hush" not in given(role, layout).values()


@pytest.mark.parametrize("role", ["server", "worker"])
def test_server_and_worker_know_the_database(role, layout):
    assert given(role, layout)["AEN_DATABASE_URL"] == SET["AEN_DATABASE_URL"]


def test_a_secret_key_of_ones_own_reaches_the_server_alone(layout, monkeypatch):
    monkeypatch.setitem(SET, "AEN_SECRET_KEY", "own" * 20)
    assert given("server", layout)["AEN_SECRET_KEY"] == "own" * 20
    assert "own" * 20 not in given("gateway", layout).values()


@pytest.mark.parametrize("role", ["gateway", "compute"])
def test_gateway_and_node_know_neither_database_nor_other_secrets(role, layout):
    values = given(role, layout).values()
    assert not {SET["AEN_DATABASE_URL"], "mail"} & set(values)


@pytest.mark.parametrize("role", ["gateway", "compute"])
def test_the_servers_key_stays_with_the_server(role, layout):
    assert str(layout.server_key) not in given(role, layout).values()


def test_settings_that_the_set_up_does_not_know_reach_the_server(layout):
    assert given("server", layout)["AEN_ACCESS_TTL"] == "3"


def test_what_else_is_in_the_terminal_reaches_no_process(monkeypatch, layout):
    found = environment.base({"AWS_SECRET_ACCESS_KEY": "x", "PYTHONPATH": "/tmp"}, ME)
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & set(found)


def test_the_record_for_manage_py_is_ours_alone(layout):
    environment.record(layout, options.read(SET, os.getuid(), layout))
    path = environment.recorded_at(layout)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hush" not in path.read_text()


def started(layout, **variables):
    """Start a site as ``make run`` does, as far as its database is concerned."""
    chosen = options.read(variables, os.getuid(), layout)
    environment.require_the_database(layout, chosen)
    environment.record(layout, chosen)


def test_a_site_does_not_go_back_to_the_usual_database_without_a_word(layout):
    started(layout)
    started(layout)
    started(layout, AEN_DATABASE_URL=SET["AEN_DATABASE_URL"])
    with pytest.raises(Problem) as refused:
        started(layout)
    assert "postgresql://h/d" in str(refused.value)
    assert "secret" not in str(refused.value)
    started(layout, AEN_DATABASE_URL=str(refused.value).rpartition("AEN_DATABASE_URL=")[2])
    started(layout)
