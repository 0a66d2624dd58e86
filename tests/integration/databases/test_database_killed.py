"""PostgreSQL ends at once in the middle of writes, writes down nothing more, and comes back.

A process is ended, not a machine: what the kernel was given is there afterwards.
``tests/mongodb/test_killed.py`` does the same to the compatible server.
"""

import os
import subprocess
import sys

import psycopg
import pytest

from tests.mongodb.test_killed import CHECKOUT, read_until
from tests.postgresql import PostgreSQL, why_not

PROJECTS = "SELECT id, name FROM projects_project"
AUDITED = "SELECT project_id FROM accounts_auditentry WHERE verb = 'project.create'"


@pytest.fixture
def server():
    if reason := why_not():
        pytest.skip(reason)
    with PostgreSQL(hasty=False) as running:
        yield running


@pytest.fixture
def writer(server):
    """A process that makes projects, and says of each whether it was acknowledged."""
    told = {"DJANGO_SETTINGS_MODULE": "tests.settings",
            "AEN_TEST_DATABASE_URL": server.database("written")}  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.mongodb.writer"], cwd=CHECKOUT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | told,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(server, writer):
    made = []
    for _ in range(3):
        made += read_until(writer, "made", 20)
        server.stop()  # by SIGQUIT: no checkpoint, nothing flushed
        made += read_until(writer, "refused")
        server.start()
    made += read_until(writer, "made", 5)  # it goes on without a restart of its own
    made += [line.split()[1] for line in writer.communicate()[0].splitlines() if "made" in line]
    with psycopg.connect(host=server.host, user="aen", dbname="written") as connection:
        projects = dict(connection.execute(PROJECTS).fetchall())
        audited = [key for (key,) in connection.execute(AUDITED)]
    assert set(made) <= set(projects.values())
    assert sorted(audited) == sorted(projects)
