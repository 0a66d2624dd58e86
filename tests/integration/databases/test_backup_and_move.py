"""All of a site's data in a file, and from there in another database."""

import signal
import stat
import subprocess
from pathlib import Path

from aen_site.backup.tables import KEPT
from tests.waiting import PATIENCE, until

FILL = Path(__file__).parents[2] / "bench/large_site.py"
_PEOPLE = """
import json, django
django.setup()
from django.db import connection
from accounts.models import User
made = User._meta.db_table in connection.introspection.table_names()
print(json.dumps(made and User.objects.exists()))
"""


def test_ten_thousand_projects_move_to_postgresql_and_back_and_nothing_is_lost(site_on, tmp_path):
    first = site_on("sqlite")
    first.manage("migrate", "-v0")
    first.run(str(FILL), "1000", "10000", "2")
    told = [first.manage("aen_backup", str(tmp_path / "first"))]
    for number, kind in enumerate(("postgresql", "sqlite")):
        site = site_on(kind)
        told.append(site.manage("aen_restore", str(tmp_path / ("first", "second")[number])))
        told.append(site.manage("aen_backup", str(tmp_path / ("second", "third")[number])))
    assert len(set(told)) == 1
    counts = dict(line.split() for line in told[0].splitlines())
    assert counts["projects.Project"] == "10,000"
    assert counts["guardian.UserObjectPermission"] == "20,000"
    assert counts["accounts.AuditEntry"] >= "10,000"
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600


#: From SQLite on: each two of the three once in either direction.
ROUND = ("mongodb", "sqlite", "postgresql", "mongodb", "postgresql", "sqlite")


def test_what_went_from_each_database_to_each_other_is_what_it_was(site_on, tmp_path):
    """Fewer rows, since the compatible server takes its time, but some in each table."""
    site = site_on("sqlite")
    site.run(str(Path(__file__).with_name("something_of_all.py")))
    told = []
    for number, kind in enumerate(ROUND):
        file = str(tmp_path / f"backup-{number}")
        told.append(site.manage("aen_backup", file))
        site = site_on(kind)
        told.append(site.manage("aen_restore", file))
    assert len(set(told)) == 1
    assert {line.split()[0] for line in told[0].splitlines()} == {*KEPT, "digest"}


def test_a_restore_that_is_killed_leaves_no_site_and_is_done_again(site_on, tmp_path):
    """On MongoDB, where no transaction holds all of it; elsewhere nothing is seen of it."""
    first, site = site_on("sqlite"), site_on("mongodb")
    first.manage("migrate", "-v0")
    first.run(str(FILL), "100", "300", "2")
    told = first.manage("aen_backup", str(tmp_path / "file"))
    killed = site.start("-m", "django", "aen_restore", "-", stdin=subprocess.PIPE)
    killed.stdin.write((tmp_path / "file").read_bytes()[:-1000])  # it waits for the rest
    killed.stdin.flush()
    until(lambda: site.run_json(_PEOPLE), "people to be restored")
    killed.kill()
    assert killed.wait(PATIENCE) == -signal.SIGKILL
    killed.stdin.close()
    server = site.start("-m", "uvicorn", "aen_site.asgi:application", "--port", str(site.port))
    assert server.wait(PATIENCE) != 0
    assert "holds a part of a backup" in site.log()
    assert "aen_restore FILE" in site.manage("aen_worker", code=1)
    assert site.manage("aen_restore", str(tmp_path / "file")) == told
    site.serve()
