"""Names of files that are no UTF-8, which any user can make, on their way out of the node."""

import os

from compute_agent.environments import inventory
from compute_agent.envtool.conda_meta import META
from compute_agent.protocol import AppStatus, EnvironmentsFound, decode_report, encode
from compute_agent.record import Record
from compute_agent.stored import Stored, decode

ODD = os.fsdecode(b"\xff\xfe")


def test_a_package_whose_name_is_no_text_is_reported_all_the_same(tmp_path):
    environment = tmp_path / "envs/odd"
    (environment / META).mkdir(parents=True)
    (environment / META / f"python-3.{ODD}-0.json").touch()
    (environment / "lib/python3.11/site-packages" / f"{ODD}-1.dist-info").mkdir(parents=True)
    project = os.open(tmp_path, os.O_RDONLY)
    try:
        packages, _ = inventory.one(project, "odd", None, export=False)
        found = inventory.Inventory().environments(project, None)
    finally:
        os.close(project)
    told = decode_report(encode(EnvironmentsFound("0" * 32, found, tuple(packages))))
    assert [(one.name, one.version) for one in told.packages] == [("python", "3.??"), ("??", "1")]
    assert [one.python for one in told.environments] == ["3.??"]


def test_a_launch_that_met_such_a_name_is_written_down(tmp_path):
    met = AppStatus("0" * 32, 0, "preparing", cause=f"Python 3.{ODD} is there.")
    Record(Stored(met), tmp_path, lambda _: None).save()
    assert decode((tmp_path / "record.json").read_bytes()).status.cause == "Python 3.?? is there."
