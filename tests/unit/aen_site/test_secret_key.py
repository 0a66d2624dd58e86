"""The server's secret: without a good one that nobody else can read, no process starts."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from aen_site import environment

pytestmark = pytest.mark.row(23)
CHECKOUT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret_key"
    path.write_text(secrets.token_urlsafe(48))
    path.chmod(0o600)
    return path


def said(file, tmp_path, **further):
    """What a process of the server says at its start."""
    done = subprocess.run(
        [sys.executable, "-m", "django", "check"], capture_output=True, text=True, check=False,
        cwd=CHECKOUT, timeout=60,
        env={"PATH": os.defpath, "DJANGO_SETTINGS_MODULE": "aen_site.settings",
             "AEN_HOME": str(tmp_path), "AEN_SECRET_KEY_FILE": str(file)} | further,
    )  # fmt: skip
    assert done.returncode == (1 if "ImproperlyConfigured" in done.stderr else 0), done.stderr
    return done.stderr


def test_a_good_secret_starts(file, tmp_path):
    assert "ImproperlyConfigured" not in said(file, tmp_path)


def test_a_missing_secret_stops_the_start(file, tmp_path):
    file.unlink()
    assert "AEN_SECRET_KEY_FILE can’t be read" in said(file, tmp_path)
    assert "AEN_SECRET_KEY_FILE is not set" in said("", tmp_path)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_secret_that_others_can_read_stops_the_start(file, tmp_path, mode):
    file.chmod(mode)
    assert f"{file} can be read by others. Mend it with: chmod 600" in said(file, tmp_path)


@pytest.mark.parametrize(
    "value",
    ["django-insecure-" + secrets.token_urlsafe(48), "x" * 40, "changeme" * 5, "\0" * 40],
    ids=["as Django begins one", "x", "changeme", "zeros"],
)
def test_a_default_secret_stops_the_start(file, tmp_path, value, monkeypatch):
    file.write_text(value)
    assert "is an example, which everybody knows" in said(file, tmp_path)
    monkeypatch.setenv("AEN_SECRET_KEY", value.replace("\0", "0"))
    with pytest.raises(environment.ImproperlyConfigured, match="in AEN_SECRET_KEY is an example"):
        environment.secret("AEN_SECRET_KEY")


def test_a_short_secret_stops_the_start(file, tmp_path):
    file.write_text("short")
    assert "shorter than 32 characters" in said(file, tmp_path)
