"""The node's configuration: where it comes from, and what it says of a mistake."""

import json
import os
import subprocess
import sys

import pytest

from compute_agent.config import DEFAULT_FILES, FILES, ConfigError, load, load_all
from compute_agent.config.options import OPTIONS, START_OPTIONS
from compute_agent.config.showing import as_json, as_text


@pytest.fixture
def write(tmp_path):
    def write(name, **values):
        path = tmp_path / name
        path.write_text(json.dumps(values))
        return path

    return write


@pytest.fixture
def text(tmp_path):
    def text(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    return text


def problems(*files):
    """What is said of the files, without the directory they lie in."""
    with pytest.raises(ConfigError) as caught:
        load(None, files)
    return [problem.replace(f"{files[0].parent}/", "") for problem in caught.value.problems]


# --- the files ------------------------------------------------------------------------------------


def test_the_files_are_those_of_the_specification():
    assert [str(path) for path in DEFAULT_FILES] == [
        "/etc/wakari/config.json",
        "/etc/wakari/compute-launcher-config.json",
        "compute-launcher-config.json",
    ]


def test_the_file_of_starting_projects_comes_after_them():
    assert [*map(str, FILES)] == [*map(str, DEFAULT_FILES), "/etc/wakari/scripts/config.json"]


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


def test_a_file_that_somebody_else_may_change_is_refused(write):
    path = write("open.json")
    path.chmod(0o666)
    assert problems(path) == ["open.json: can be changed by everybody; chmod o-w would mend that"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another account")
def test_a_file_that_belongs_to_somebody_else_is_refused(write):
    path = write("theirs.json")
    os.chown(path, 12345, -1)
    assert problems(path) == [
        "theirs.json: belongs to the account with uid 12345, which could change it"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file to another group")
def test_a_file_that_a_group_may_change_is_refused_as_root(write):
    path = write("group.json")
    path.chmod(0o664)
    os.chown(path, -1, 12345)
    assert problems(path) == [
        "group.json: can be changed by the group 12345; chmod g-w would mend that"
    ]


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"projekt_root": "/p"},
            r"bad\.json:1: unknown option projekt_root; did you mean project_root\?",
        ),
        ({"project_root": 5}, r"bad\.json:1: project_root: must be a string, not 5"),
        ({"manage_accounts": "no"}, 'manage_accounts: must be true or false, not "no"'),
        ({"stop_grace": True}, "stop_grace: must be a number, not true"),
        ({"pass_environment": ["A", 5]}, r'must be a list of strings, not \["A", 5\]'),
        ({"stop_grace": -1}, "stop_grace: must not be negative"),
        ({"skeleton": "a\0b"}, "skeleton: must not contain a NUL character"),
        ({"listen": "https://a:70000"}, "listen: has a port above 65535"),
        ({"tls": []}, r"tls: must be an object, or null, not \[\]"),
        ({"tls": {}}, "tls: lacks certificate and key and client_ca"),
        ({"anon_user": "aen"}, "aen is no account for visitors: it is the node's own"),
        ({"tls": {"certificate": "c"}}, r"bad\.json:1: tls: lacks key and client_ca"),
        ({"project_root": "projects"}, "project_root: must be an absolute path"),
        ({"listen": "http://0.0.0.0:5002"}, "listen: must be"),
        ({"listen": "https://0.0.0.0:5002"}, "tls: is needed"),
        ({"run_dir": "/run/" + "a" * 60}, "run_dir: is too long for socket paths; .* at most"),
    ],
)
def test_a_mistake_names_its_option(write, values, said):
    with pytest.raises(ConfigError, match=said):
        load(write("bad.json", **values), [])


def test_all_problems_of_all_files_are_said_at_once_with_their_lines(text):
    first = text("first.json", '{\n  "projectroot": "/p",\n  "run_dir":\n    "run"\n}')
    second = text("second.json", '{\n  "listen": "unix:/s"\n  "python": ""\n}')
    tls = '{"tls": {\n "certificate": 5,\n "keys": "k",\n "client_ca": "c"}}'
    third = text("third.json", tls)
    assert problems(first, second, third) == [
        "first.json:2: unknown option projectroot; did you mean project_root?",
        "first.json:4: run_dir: must be an absolute path",
        'second.json:3: not JSON: expected a "," or a "}"',
        "third.json:2: tls.certificate: must be a string, not 5",
        "third.json:3: unknown option tls.keys; did you mean key?",
        "third.json:1: tls: lacks key",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", '1: not JSON: expected a key in double quotes or a "}"'),
        ("", "1: not JSON: expecting value"),
        ("[]", "1: holds no object of options"),
        ('{"watch": true,\n}', '1: not JSON: a "," before the "}"'),
        ('{\n"watch" true}', '2: not JSON: expected a ":" after the key watch'),
        ('{\n"watch": True}', "2: not JSON: expecting value"),
        ("{\n'watch': true}", '2: not JSON: expected a key in double quotes or a "}"'),
        ('{"watch": true}\n\n}', "3: not JSON: there is more after the end of the object"),
        ('{"python": "a\nb"}', "1: not JSON: invalid control character"),
        ('{\n"stop_grace": NaN}', "2: not JSON: NaN is no number of JSON"),
        ('{"stop_grace": 1e999}', "1: not JSON: a number that is too large"),
        ('{"tls": ' + "[" * 5000, "1: not JSON: objects and lists are nested too deeply"),
    ],
)
def test_text_that_is_not_json_is_named_by_its_line(text, content, said):
    assert problems(text("bad.json", content)) == [f"bad.json:{said}"]


def test_bytes_that_are_not_utf_8_are_named_by_their_line(tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(b'{\n"python": "\xff"}')
    assert problems(path) == ["bad.json:2: is not in UTF-8"]


def test_an_option_given_twice_names_both_lines(text):
    path = text("twice.json", '{"run_dir": "/a",\n"watch": true,\n"run_dir": "/b"}')
    assert problems(path) == ["twice.json:3: run_dir is given twice, first at line 1"]


def test_a_key_of_tls_given_twice_names_both_lines(text):
    tls = '{"tls": {"key": "a",\n"key": "b", "certificate": "c", "client_ca": "d"}}'
    assert problems(text("t.json", tls)) == ["t.json:2: tls.key is given twice, first at line 1"]


# --- names of the old product ---------------------------------------------------------------------


def test_options_of_the_old_product_are_understood(write):
    old = write(
        "old.json",
        projectRoot="/data", MANAGE_ACCOUNTS=False, ANON_USER="public", AEN_SRVC_ACCT="wakari",
    )  # fmt: skip
    config = load(None, [old])
    assert config.project_root == "/data"
    assert config.manage_accounts is False
    assert config.anon_user == "public"
    assert config.service_account == "wakari"


def test_an_option_under_both_names_in_one_file_names_both_lines(text):
    path = text("both.json", '{"projectRoot": "/a",\n"project_root": "/b"}')
    assert problems(path) == [
        "both.json:2: project_root and projectRoot at line 1 are the same option"
    ]


def test_a_later_file_wins_under_either_name(write):
    files = [write("one.json", project_root="/new"), write("two.json", projectRoot="/old")]
    assert load(None, files).project_root == "/old"


def test_numeric_user_names_are_refused_with_the_reason(text):
    path = text("old.json", '{\n"numericUsernames": true}')
    assert problems(path)[0].startswith(
        "old.json:2: numericUsernames is refused: programs take a name of digits for a user id"
    )


# --- scripts/config.json --------------------------------------------------------------------------


def test_the_file_of_starting_projects_holds_only_what_concerns_that(text):
    path = text("scripts/config.json", '{"projectRoot": "/p",\n"listen": "unix:/s"}')
    assert problems(path) == [
        "config.json:2: listen does not concern starting a project; "
        "compute-launcher-config.json may hold it"
    ]
    assert set(OPTIONS) > START_OPTIONS


def test_the_file_of_starting_projects_wins_over_the_earlier_ones(text, write):
    start = text("scripts/config.json", '{"project_root": "/start", "skeleton": "/s"}')
    launcher = write("compute-launcher-config.json", project_root="/launcher")
    extra = write("extra.json", skeleton="/extra")
    config = load(extra, [launcher, start])
    assert (config.project_root, config.skeleton) == ("/start", "/extra")


# --- what is in force, and why --------------------------------------------------------------------


def test_each_option_is_shown_with_the_file_and_line_it_came_from(text, write):
    tls = '{"tls": {"certificate": "c",\n"key": "k",\n"client_ca": "a"}}'
    first, second = text("first.json", tls), text("second.json", '{\n"projectRoot": "/p"}')
    missing = first.parent / "none.json"
    shown, _, files = as_text(load_all(second, [first, missing])).partition("\n\n")
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines())
    assert rows["project_root"].split(maxsplit=1) == ['"/p"', f"{second}:2 (as projectRoot)"]
    assert rows["tls.key"].split() == ['"k"', f"{first}:2"]
    assert rows["watch"].split() == ["false", "default"]
    assert f"  {first}\n  {missing} (not there)\n  {second}" in files


def test_programs_get_the_same_as_json(text):
    path = text("one.json", '{\n"watch": true}')
    shown = json.loads(as_json(load_all(path, [path.parent / "none.json"])))
    assert shown["options"]["watch"] == {
        "value": True, "file": str(path), "line": 2, "name": "watch",
    }  # fmt: skip
    assert shown["options"]["listen"]["file"] is None
    assert set(shown["options"]) == set(OPTIONS)
    assert [file["read"] for file in shown["files"]] == [False, True]


def agent(*arguments):
    """Run the agent's program where no other configuration lies; return how it ended."""
    command = [sys.executable, "-m", "compute_agent", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_program_shows_its_configuration(write):
    path = write("one.json", watch=True)
    done = agent("-c", path, "--show-config", "--json")
    assert json.loads(done.stdout)["options"]["watch"]["file"] == str(path)
    assert '"/projects"' in agent("-c", path, "--show-config").stdout


def test_the_program_says_each_mistake_on_a_line_and_ends(text):
    path = text("bad.json", '{"wach": true,\n"python": 3}')
    done = agent("-c", path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"compute_agent: {path}:1: unknown option wach; did you mean watch?",
        f"compute_agent: {path}:2: python: must be a string, not 3",
    ]


def test_json_without_show_config_is_refused():
    assert agent("--json").returncode == 2


def test_addresses_are_taken_apart(write):
    assert str(load(write("a.json", listen="unix:/run/x/s"), []).socket_path) == "/run/x/s"
    tls = {"certificate": "c", "key": "k", "client_ca": "a"}
    config = load(write("b.json", listen="https://10.0.0.5:5002", tls=tls), [])
    assert config.socket_path is None
    assert config.tcp_address == ("10.0.0.5", 5002)
