"""All of a site's data in a file, and from there in another database."""

import stat
from pathlib import Path

from aen_site.backup.tables import KEPT

FILL = Path(__file__).parents[2] / "bench/large_site.py"


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


def test_what_went_through_all_three_databases_is_what_it_was(site_on, tmp_path):
    """Fewer rows, since the compatible server takes its time, but some in each table."""
    first = site_on("sqlite")
    first.run(str(Path(__file__).with_name("something_of_all.py")))
    files = [str(tmp_path / f"backup-{number}") for number in range(3)]
    told = [first.manage("aen_backup", files[0])]
    for number, kind in enumerate(("mongodb", "postgresql")):
        site = site_on(kind)
        told.append(site.manage("aen_restore", files[number]))
        told.append(site.manage("aen_backup", files[number + 1]))
    told.append(site_on("sqlite").manage("aen_restore", files[2]))
    assert len(set(told)) == 1
    assert {line.split()[0] for line in told[0].splitlines()} == {*KEPT, "digest"}
