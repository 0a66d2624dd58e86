"""The node's configuration: where it comes from, and what it says of a mistake."""

import json

import pytest

from compute_agent.config import DEFAULT_FILES, ConfigError, load


@pytest.fixture
def write(tmp_path):
    def write(name, **values):
        path = tmp_path / name
        path.write_text(json.dumps(values))
        return path

    return write


def test_the_files_are_those_of_the_specification():
    assert [str(path) for path in DEFAULT_FILES] == [
        "/etc/wakari/config.json",
        "/etc/wakari/compute-launcher-config.json",
        "compute-launcher-config.json",
    ]


def test_the_last_file_wins_option_by_option(write):
    first = write("first.json", project_root="/one", run_dir="/run/one")
    second = write("second.json", project_root="/two")
    extra = write("extra.json", service_account="svc")
    config = load(extra, [first, second])
    assert config.project_root == "/two"
    assert config.run_dir == "/run/one"
    assert config.service_account == "svc"


def test_a_missing_file_counts_only_when_it_was_asked_for(tmp_path):
    missing = tmp_path / "none.json"
    assert load(None, [missing]).project_root == "/projects"
    with pytest.raises(ConfigError, match=r"none\.json: No such file"):
        load(missing, [])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"projekt_root": "/p"}, r"bad\.json: unknown option projekt_root"),
        ({"project_root": 5}, r"bad\.json: .*project_root"),
        ({"tls": {"certificate": "c"}}, r"bad\.json: .*key"),
        ({"project_root": "projects"}, "project_root: must be an absolute path"),
        ({"listen": "http://0.0.0.0:5002"}, "listen: must be"),
        ({"listen": "https://0.0.0.0:5002"}, "tls: is needed"),
        ({"run_dir": "/run/" + "a" * 60}, "run_dir: is too long for socket paths; .* at most"),
    ],
)
def test_a_mistake_names_its_option(write, values, said):
    with pytest.raises(ConfigError, match=said):
        load(write("bad.json", **values), [])


def test_text_that_is_not_json_names_its_file(tmp_path):
    path = tmp_path / "bad.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"bad\.json: not JSON"):
        load(path, [])


def test_addresses_are_taken_apart(write):
    assert str(load(write("a.json", listen="unix:/run/x/s"), []).socket_path) == "/run/x/s"
    tls = {"certificate": "c", "key": "k", "client_ca": "a"}
    config = load(write("b.json", listen="https://10.0.0.5:5002", tls=tls), [])
    assert config.socket_path is None
    assert config.tcp_address == ("10.0.0.5", 5002)
