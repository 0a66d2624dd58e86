"""``manage.py`` finds the running site and acts on it as the account that owns its data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import manage, paths
from deploy.say import Problem

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def layout(tmp_path):
    found = paths.Layout(tmp_path, tmp_path / "run")
    found.etc.mkdir()
    found.server.mkdir()
    return found


def test_what_the_running_server_was_given_is_found(layout):
    (layout.etc / "environment.json").write_text(json.dumps({"AEN_PUBLIC_URL": "http://x"}))
    assert manage.recorded(layout) == {"AEN_PUBLIC_URL": "http://x"}


def test_a_database_that_is_named_goes_before_the_sites_own(layout):
    recorded = {"AEN_DATABASE_URL": "postgresql://recorded/aen", "AEN_PUBLIC_URL": "http://x"}
    (layout.etc / "environment.json").write_text(json.dumps(recorded))
    (layout.home / "url").write_text("sqlite:////elsewhere\n")
    code = "import sys, os; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
    code += "from deploy import manage, paths; here = Path(sys.argv[2])\n"
    code += "manage.settle(paths.Layout(here, here)); print(os.environ['AEN_DATABASE_URL'])"
    file = {"AEN_DATABASE_URL_FILE": str(layout.home / "url")}
    for given, used in (({}, "postgresql://recorded/aen"), (file, "sqlite:////elsewhere")):
        done = subprocess.run(
            [sys.executable, "-c", code, CHECKOUT, layout.home], env=given,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == used


def test_a_home_without_a_site_is_told(layout):
    with pytest.raises(Problem, match="There is no site in"):
        manage.recorded(layout)


def test_a_checkout_that_was_never_run_says_what_to_run(tmp_path):
    done = subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), CHECKOUT / "manage.py", "help"],
        env={"PATH": os.environ["PATH"], "AEN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Run make run first" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: only root can become another account")
def test_root_becomes_the_owner_of_the_servers_data(layout):
    os.chown(layout.server, 65534, 65534)
    code = "import sys, os; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
    code += "from deploy.manage import become; become(Path(sys.argv[1]))\n"
    code += "print(os.getresuid(), os.getgroups())"
    done = subprocess.run(
        [sys.executable, "-c", code, layout.server, CHECKOUT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("(65534, 65534, 65534)"), done.stderr
    assert " 0" not in done.stdout.split("[")[1]
