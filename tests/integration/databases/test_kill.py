"""The server is killed while people write: what it acknowledged is there, and nothing by halves."""

import contextlib
import os
import signal
import threading

import httpx
import pytest
from own_site import PATIENCE, until

from tests.postgresql import PostgreSQL, why_not

ROUNDS = 3
#: Acknowledged before each kill.
ENOUGH = 25
_PEOPLE = """
import json, sys, django
django.setup()
from accounts import actions
people = [actions.create_user(name, by=None) for name in sys.argv[1:]]
print(json.dumps(actions.create_token(people[0], "t", ["api"], by=None)[1]))
"""
_WHAT_IS_THERE = """
import json, django
django.setup()
from accounts.models import AuditEntry
from projects import access
from projects.models import Project
audited = AuditEntry.objects.filter(verb="project.create").values_list("project_id", flat=True)
roles = AuditEntry.objects.filter(verb="team.set").values_list("project_id", flat=True)
teams = access.teams(Project.objects.select_related("owner"))
print(json.dumps({
    "projects": {row.name: row.pk.hex for row in Project.objects.all()},
    "audited": [pk.hex for pk in audited],
    "shared": sorted(pk.hex for pk, team in teams.items() if len(team) == 2),
    "shared_by_audit": sorted(pk.hex for pk in roles),
}))
"""


class Writer(threading.Thread):
    """A person who makes projects and shares them, and notes what the server acknowledged."""

    def __init__(self, url, token, number, acknowledged, people):
        super().__init__(daemon=True)
        self.url, self.number, self.acknowledged = url, number, acknowledged
        self.owner, self.editor = people
        self.headers = {"Authorization": f"Bearer {token}"}
        self.refused = []

    def run(self):
        with contextlib.suppress(httpx.TransportError), httpx.Client(
            base_url=self.url + "/api/v1/", headers=self.headers, timeout=PATIENCE, trust_env=False
        ) as client:  # fmt: skip
            for count in range(100_000):
                name = f"w{self.number}-{count}"
                answer = client.post("projects", json={"name": name})
                if not self.note(answer, 201, ("made", name)):
                    continue
                answer = client.put(
                    f"projects/{self.owner}/{name}/team/{self.editor}", json={"role": "editor"}
                )
                self.note(answer, 200, ("shared", name))

    def note(self, answer, expected, what):
        if answer.status_code == expected:
            self.acknowledged.append(what)
            return True
        self.refused.append(answer.text)
        return False


@pytest.fixture(params=["sqlite", "postgresql", "mongodb"])
def site(request, site_on, tmp_path):
    if request.param != "postgresql":
        yield site_on(request.param)
        return
    if reason := why_not():
        pytest.skip(reason)
    with PostgreSQL(hasty=False) as server:
        made = site_on("sqlite")
        made.database = server.database("killed")
        yield made


def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_halves(site):
    site.set_up()
    acknowledged, refused = [], []
    for round_ in range(ROUNDS):
        # Others each time: MongoDB keeps what a killed server was changing for a minute.
        people = [f"owner{round_}", f"editor{round_}"]
        token = site.run_json(_PEOPLE, *people)
        server, enough = site.serve(), len(acknowledged) + ENOUGH
        writers = [Writer(site.url, token, f"{round_}-{n}", acknowledged, people)
                   for n in range(4)]  # fmt: skip
        for writer in writers:
            writer.start()
        until(lambda: len(acknowledged) >= enough, "writes to be acknowledged")  # noqa: B023
        os.kill(server.pid, signal.SIGKILL)
        server.wait(PATIENCE)
        for writer in writers:
            writer.join(PATIENCE)
            refused += writer.refused
    if site.database.startswith("mongodb"):  # which has nobody wait: who loses too often is told so
        refused = [answer for answer in refused if '"unavailable"' not in answer]
    assert refused == []
    found = site.run_json(_WHAT_IS_THERE)
    there = found["projects"]
    assert {name for what, name in acknowledged if what == "made"} <= set(there)
    shared = {there[name] for what, name in acknowledged if what == "shared"}
    assert shared <= set(found["shared"])
    # A project and its entry in the audit are one change, and so are a role and its entry.
    assert sorted(there.values()) == sorted(found["audited"])
    assert found["shared"] == found["shared_by_audit"]


def test_four_processes_write_to_sqlite_and_none_is_told_that_it_is_locked(site_on):
    site = site_on("sqlite")
    site.manage("migrate", "-v0")
    writers = [site.start("-c", _WRITE, str(number)) for number in range(4)]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0, 0, 0], site.log()
    assert site.run_json(_COUNT) == {"counted": 400, "people": 200}


#: Reads and writes in one transaction, which fails on SQLite where the lock is not taken at first.
_WRITE = """
import sys, django
django.setup()
from accounts import actions
from accounts.models import SignInAttempts
from accounts.transactions import atomic
from django.utils import timezone
for count in range(50):
    actions.create_user(f"p{sys.argv[1]}-{count}", by=None)
    for _ in range(2):
        with atomic():
            row, _ = SignInAttempts.objects.get_or_create(key="k", defaults={"at": timezone.now()})
            SignInAttempts.objects.filter(key="k").update(count=row.count + 1)
"""
_COUNT = """
import json, django
django.setup()
from accounts.models import SignInAttempts, User
print(json.dumps({"counted": SignInAttempts.objects.get().count, "people": User.objects.count()}))
"""
