"""A MongoDB in no replica set, which has no transactions."""

import os
import subprocess
import sys

import pytest

from tests.mongodb.server import CHECKOUT, Server, why_not


def test_it_is_refused_with_the_mend():
    if reason := why_not():
        pytest.skip(reason)
    with Server(alone=True) as server:
        done = subprocess.run(
            [sys.executable, "-m", "tests.mongodb.writer"], cwd=CHECKOUT, text=True, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=120,
            env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings",
                              "AEN_TEST_DATABASE_URL": server.url("aen")},
        )  # fmt: skip
    assert done.returncode != 0
    assert "in no replica set" in done.stderr
    assert "--replSet" in done.stderr
