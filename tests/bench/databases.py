"""What the server asks of its database most, on each: ``databases.py [rounds [people projects]]``.

10,000 people, 10,000 projects, 50,000 permissions, unless said otherwise. Processor milliseconds are
those of the server's process; PostgreSQL's own run beside it, and are in the milliseconds that pass.
Signing in is measured without hashing the password, which takes as long as one chooses. ``MONGO_URI``
names an empty database of a MongoDB that is measured, too.
"""

import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1]), str(HERE.parent / "integration/databases")]

PEOPLE, PROJECTS = 10_000, 10_000
#: What begins and ends transactions, and is not counted.
AROUND = ("BEGIN", "COMMIT", "session.")


def measure(rounds):
    """Print what each act takes on the database of this environment, as JSON."""
    import django
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.ALLOWED_HOSTS = ["*"]
    settings.AEN_PUBLIC_URL = "http://testserver"
    django.setup()
    print(json.dumps({name: _timed(act, rounds) for name, act in _acts().items()}))


def _acts():
    from django.test import Client
    from django.utils import timezone

    from accounts import actions as accounts
    from accounts.models import User
    from compute_agent.protocol import AppStatus
    from datacenters.models import Node
    from projects import access, actions, reconciler, reports
    from projects.models import AppInstance, Project

    chance = random.Random(1)
    people = list(User.objects.filter(username__startswith="person-").order_by("username")[:2000])
    projects = list(Project.objects.select_related("owner").order_by("name")[:2000])
    tokens = [accounts.create_token(user, "t", ["api"], by=None)[1] for user in people[:50]]
    for user in people[:50]:
        accounts.set_password(user, "one-Of-Fifty-9", by=None)
    node = Node.objects.get()
    offers = [{"name": "lab", "title": "JupyterLab", "icon": "lab", "landing": ""}]
    Node.objects.update(up=True, last_seen=timezone.now(), status={"apps": offers})

    def check():
        access.may(chance.choice(people), chance.choice(projects), "view")

    def listing():
        client = Client(headers={"Authorization": f"Bearer {chance.choice(tokens)}"})
        assert client.get("/api/v1/projects").status_code == 200

    def sign_in():
        who = {"username": chance.choice(people[:50]).username, "password": "one-Of-Fifty-9"}
        assert Client().post("/accounts/login/", who).status_code == 302

    def launch():
        """From the request to the end, as the node reports it."""
        Node.objects.update(last_seen=timezone.now())
        project = Project.objects.get(pk=chance.choice(projects).pk)
        row = actions.start_app(project, "lab", by=project.owner)
        list(reconciler.due(node.data_center_id))
        for revision, state in enumerate(("preparing", "starting", "running", "stopped"), 1):
            reports.take(node, AppStatus(row.pk.hex, revision, state))
        assert AppInstance.objects.get(pk=row.pk).state == "stopped"

    return {"permission check": check, "project list": listing, "sign-in": sign_in,
            "launch, all of it": launch}  # fmt: skip


def _timed(act, rounds):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    act()  # what is read once per process
    with CaptureQueriesContext(connection) as queries:
        act()
    asked = sum(not query["sql"].startswith(AROUND) for query in queries)
    passed, cpu = [], time.process_time()
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        passed.append(time.perf_counter() - began)
    used = (time.process_time() - cpu) / rounds
    return {"queries": asked, "ms": statistics.median(passed) * 1000, "cpu": used * 1000}


def _measured(folder, url, rounds, people, projects):
    """Return what each act takes there, ``None`` where something took too long."""
    from own_site import OwnSite

    site = OwnSite(folder, url)
    site.manage("migrate", "-v0")
    site.run(str(HERE / "large_site.py"), str(people), str(projects))
    try:
        return json.loads(site.run(__file__, "--measure", str(rounds)).splitlines()[-1])
    except AssertionError as error:
        print(f"not measured: {str(error).strip().splitlines()[-1]}")
        return None


def main(rounds=200, people=PEOPLE, projects=PROJECTS):
    from tests.postgresql import PostgreSQL, why_not

    size, found = (rounds, people, projects), {}
    with tempfile.TemporaryDirectory(prefix="aen-bench-") as folder:
        found["SQLite"] = _measured(Path(folder), f"sqlite:///{folder}/db.sqlite3", *size)
    if reason := why_not():
        print(f"no PostgreSQL: {reason}")
    else:
        with PostgreSQL(hasty=False) as server, tempfile.TemporaryDirectory() as folder:
            found["PostgreSQL"] = _measured(Path(folder), server.database("bench"), *size)
    if uri := os.environ.get("MONGO_URI"):
        with tempfile.TemporaryDirectory() as folder:
            found["MongoDB"] = _measured(Path(folder), uri, *size)
    _print({database: acts for database, acts in found.items() if acts}, size)


def _print(found, size):
    """Print the table of docs/performance.md."""
    print("{:,} rounds; {:,} people, {:,} projects, {:,} permissions\n".format(*size, 5 * size[2]))
    print("| | | queries | ms | CPU ms |\n|---|---|---:|---:|---:|")
    for act in found["SQLite"]:
        for name, database in zip([act, *[""] * len(found)], found, strict=False):
            it = found[database][act]
            print(f"| {name} | {database} | {it['queries']} | {it['ms']:.2f} | {it['cpu']:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(int(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
