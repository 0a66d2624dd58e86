"""The shell script by which make finds a Python."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "deploy/find-python"


@pytest.fixture
def machine(tmp_path):
    """``machine(python3="3.9")`` puts such interpreters on a PATH and runs the script there."""

    def run(**versions):
        for name, version in versions.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text(f"#!/bin/sh\necho {version}\n")
            path.chmod(0o755)
        # The script looks in the system's own folders last, which this copy of it must not.
        text = SCRIPT.read_text()
        text = text.replace("/usr/local/bin/python3 /usr/bin/python3", "")
        env = {"PATH": str(tmp_path), "AEN_PYTHON": ""}
        return subprocess.run(
            ["/bin/sh", "-c", text], env=env, capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.20"])
def test_one_that_is_new_enough_is_taken(version, machine, tmp_path):
    assert machine(python3=version).stdout.strip() == str(tmp_path / "python3")


def test_an_old_one_is_passed_over_for_a_newer(machine, tmp_path):
    found = machine(python3="3.9", python3_12="3.12")
    assert found.stdout.strip() == str(tmp_path / "python3.12")


def test_old_ones_alone_are_told_with_what_to_install(machine, tmp_path):
    found = machine(python3="3.9")
    assert found.returncode == 1
    assert f"{tmp_path / 'python3'} is Python 3.9" in found.stderr
    assert "AEN_PYTHON" in found.stderr


def test_no_python_at_all_is_told(machine):
    assert "no Python 3.11 or newer was found" in machine().stderr


def test_this_machine_has_one():
    done = subprocess.run(
        [SCRIPT], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert Path(done.stdout.strip()).exists()
