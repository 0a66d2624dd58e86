"""Which Python the installed copy runs on."""

import os
import sys
from pathlib import Path

import pytest

from deploy import interpreter
from deploy.say import Problem

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it starts one as nobody")


def script(path, text):
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_an_ordinary_account_runs_on_what_it_started():
    python, reason = interpreter.choose(None, uid=1000)
    assert python.version[:2] == sys.version_info[:2]
    assert reason == ""


def test_one_that_is_too_old_is_refused_by_its_version(tmp_path):
    old = script(tmp_path / "python3", "echo 3.9.18; echo /usr/bin/python3.9\n")
    with pytest.raises(Problem) as found:
        interpreter.choose(str(old), uid=1000)
    assert "3.9.18" in found.value.cause
    assert "AEN_PYTHON" in found.value.title


def test_one_that_lacks_a_module_is_refused_by_its_name(tmp_path):
    broken = script(tmp_path / "python3", "echo \"No module named '_ssl'\" >&2; exit 1\n")
    assert "_ssl" in interpreter.ask(broken, uid=1000)


def test_one_that_is_not_there_is_refused(tmp_path):
    assert "cannot be started" in interpreter.ask(tmp_path / "none", uid=1000)


@needs_root
def test_root_takes_another_when_its_own_is_out_of_reach(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    hidden = closed / "python3"
    hidden.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    hidden.chmod(0o755)
    text = f"echo 3.12.0; echo {hidden}\n"
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "mine", text)))
    python, reason = interpreter.choose(None, uid=0)
    assert closed not in python.path.parents
    assert "cannot" in reason


def test_the_folder_that_is_closed_is_found(tmp_path):
    (tmp_path / "closed/bin").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    found = interpreter.closed_folder(tmp_path / "closed/bin/python")
    assert found in (tmp_path / "closed").parents or found == tmp_path / "closed"
