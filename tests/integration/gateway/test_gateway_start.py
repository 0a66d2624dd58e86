"""When the gateway refuses to start, and what it says."""

import os
import subprocess
import sys

import msgspec
import pytest
from gateway_fakes import ROOT


@pytest.fixture
def files(tmp_path):
    for name in ("credential", "secret_key"):
        (tmp_path / name).write_text("s" * 50)
        (tmp_path / name).chmod(0o600)
    write(tmp_path)
    return tmp_path


def write(path, **changes):
    config = {
        "gateway_id": "0" * 32,
        "server": "http://127.0.0.1:1",
        "server_public": "http://127.0.0.1:1",
        "public_url": "http://127.0.0.1:2",
        "credential_file": str(path / "credential"),
        "secret_key_file": str(path / "secret_key"),
    } | changes
    config = {key: value for key, value in config.items() if value is not None}
    (path / "gateway.json").write_bytes(msgspec.json.encode(config))


def refused(path) -> str:
    environment = {"PATH": os.defpath, "AEN_GATEWAY_CONFIG": str(path / "gateway.json")}
    done = subprocess.run(
        [sys.executable, "-m", "gateway"], env=environment, capture_output=True, timeout=30,
        text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 78
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.row(23)
@pytest.mark.parametrize("name", ["credential", "secret_key"])
def test_a_secret_that_is_missing_open_or_short_stops_the_start(files, name):
    (files / name).chmod(0o644)
    assert "open to every account; run chmod 600" in refused(files)
    (files / name).chmod(0o600)
    (files / name).write_text("short")
    assert "shorter than 16 characters" in refused(files)
    (files / name).unlink()
    assert f"{files / name} cannot be read: No such file" in refused(files)


@pytest.mark.row(23)
def test_a_private_key_that_is_missing_or_open_stops_the_start(files):
    key = files / "key.pem"
    write(files, tls={"certificate": "c.pem", "key": str(key), "ca": "ca.pem"})
    assert f"{key} cannot be read" in refused(files)
    key.write_text("-----BEGIN PRIVATE KEY-----")
    key.chmod(0o644)
    assert f"{key} is open to every account; run chmod 600" in refused(files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"server": "ftp://x"}, "gateway.json: server: "),
        ({"public_url": "http://127.0.0.1:2/path"}, "gateway.json: public_url: "),
        ({"server": None}, "the key server is missing"),
        ({"gatewayid": "x"}, "unknown key gatewayid; did you mean gateway_id?"),
        ({"grace": "long"}, "gateway.json: grace: must be a number, not text"),
        (
            {"limits": {"person_opn": 1}},
            "limits: unknown key person_opn; did you mean person_open?",
        ),
        ({"grace": -1}, "gateway.json: grace: "),
        ({"tls": {"certificate": "x"}}, "gateway.json: tls: "),
    ],
)
def test_a_mistake_in_the_configuration_is_named(files, change, said):
    write(files, **change)
    assert said in refused(files)


def test_a_configuration_that_is_missing_is_named(tmp_path):
    assert f"{tmp_path}/gateway.json cannot be read" in refused(tmp_path)
