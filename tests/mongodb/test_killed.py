"""A server that is killed in the middle of writes, and comes back."""

import os
import subprocess
import sys

import pytest

from tests.mongodb.server import CHECKOUT, Server, why_not


@pytest.fixture
def lasting():
    if reason := why_not():
        pytest.skip(reason)
    with Server(lasting=True) as server:
        yield server


@pytest.fixture
def writer(lasting):
    """A process that makes projects in the server's database ``aen``."""
    url = lasting.url("aen")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mongodb.writer"], cwd=CHECKOUT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "AEN_TEST_DATABASE_URL": url},
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def read_until(process, word, count=1):
    """Return the names made so far, once ``word`` was said ``count`` times more."""
    made = []
    while count:
        line = process.stdout.readline()
        assert line, "the writer ended"
        said, name = line.split()
        made += [name] if said == "made" else []
        count -= said == word
    return made


def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(lasting, writer):
    made = read_until(writer, "made", 20)
    lasting.kill()
    made += read_until(writer, "refused")
    lasting.start()
    made += read_until(writer, "made", 5)  # it goes on without a restart of its own
    made += [line.split()[1] for line in writer.communicate()[0].splitlines() if "made" in line]

    with lasting.client() as client:
        projects = {row["_id"]: row["name"] for row in client.aen.projects_project.find()}
        entries = client.aen.accounts_auditentry.find({"verb": "project.create"})
        audited = [row["project_id"] for row in entries]
    assert set(made) <= set(projects.values())
    assert sorted(audited, key=str) == sorted(projects, key=str)
