"""A site full of life for looking at its pages: people, projects, and apps in every state.

Written straight into the tables, since no node runs: what is shown is not what happened.
"""

import time
from datetime import timedelta

from django.utils import timezone

from accounts import actions as people
from accounts.models import AuditEntry, Job, User
from datacenters import actions as centers
from datacenters.models import Gateway, Node
from projects import actions
from projects.models import AppInstance, Project

GB = 1024**3
OFFERS = [
    {"name": "lab", "title": "JupyterLab", "icon": "lab", "landing": ""},
    {"name": "notebook", "title": "Notebook", "icon": "notebook", "landing": ""},
    {"name": "terminal", "title": "Terminal", "icon": "terminal", "landing": ""},
]
README = """# Energy forecast

Forecasts hourly load for the next day from weather, calendar and the last 90 days of meter
data. The model is retrained each night at 02:00.

## Start here

- `notebooks/01-explore.ipynb` shows the data and its gaps
- `notebooks/02-train.ipynb` trains and writes `models/current.json`
- [the control room's report](https://example.org) reads it

## Run it from a terminal

```
python -m forecast.train --days 90
python -m forecast.report public/report.html
```
"""
LOG = [
    "10:42:07.118  account      mira exists (uid 2014), nothing to do",
    "10:42:07.131  directory    /projects/mira/energy-forecast, setgid, ok",
    "10:42:07.264  permissions  41,208 entries compared, 0 changed, 2 overrides kept",
    "10:42:07.455  environment  default: 214 packages, lock unchanged",
    "10:42:07.470  launch       memory limit 4 GB, 2 cores, 512 processes",
    "[I ServerApp] jupyterlab | extension was loaded",
    "[I ServerApp] Serving notebooks from /projects/mira/energy-forecast",
]
FACTS = [
    ("account", 0.02, "mira, uid 2014"),
    ("directory", 0.01, "present"),
    ("permissions", 0.13, "41,208 unchanged"),
    ("environment", 0.19, "default, py 3.12"),
    ("launch", None, "waiting for reply"),
]
PROJECTS = [
    ("mira", "energy-forecast", "private", "Day-ahead load forecast for the northern grid"),
    ("mira", "meter-quality", "private", "Finds broken meters before the bill does"),
    ("jonas", "grid-losses", "private", "Loss allocation by feeder, monthly"),
    (
        "li",
        "wind-wake",
        "public",
        "Wake model of the coastal park, with a live dashboard that is long",
    ),
    ("ada", "price-curves", "private", "Forward curves, rebuilt each morning"),
    ("tomas", "heat-pumps", "public", "Survey data and the notebook behind the report"),
]
PASSWORD = "a-long-Password-1"


def seed() -> dict[str, User]:
    """Fill an empty database; return the people by user name."""
    cast = {
        name: _person(name) for name in ("mira", "li", "jonas", "ada", "noor", "sofia", "tomas")
    }
    cast["mira"].is_staff = cast["mira"].is_superuser = True
    cast["mira"].last_seen = timezone.now() - timedelta(hours=20)
    cast["mira"].save()
    people.create_user("newcomer", by=None, password=PASSWORD)
    people.create_user("invited", by=None, full_name="Not Here Yet")
    people.lock_user(people.create_user("gone", by=None, password=PASSWORD), by=None)
    nodes = _places()
    rows = {name: _project(cast[owner], name, *rest) for owner, name, *rest in PROJECTS}
    _teams(rows, cast)
    _runs(rows, cast, nodes)
    _spread_out()
    Job.objects.create(kind="projects.prune", state="running", started_at=timezone.now())
    Job.objects.create(kind="accounts.prune", state="waiting")
    return cast


def _person(name: str) -> User:
    return people.create_user(
        name, by=None, password=PASSWORD, full_name=f"{name.capitalize()} Example"
    )


def _places() -> list[Node]:
    center = centers.ensure_data_center("north", by=None)
    centers.enroll_gateway("north", center, "http://127.0.0.1:8089", by=None)
    Gateway.objects.update(last_seen=timezone.now() + timedelta(hours=5), version="0.1.0")
    shares = [("node-1", 37, 41), ("node-2", 45, 93), ("node-3", 4, 38)]
    for name, memory, disk in shares:
        node = centers.enroll_node(name, center, f"https://{name}.example:5002", by=None)
        node.status = {
            "apps": OFFERS, "mode": "root", "version": "0.1.0", "memory_total": 64 * GB,
            "memory_used": memory * GB, "disk_total": 100, "disk_used": disk,
            "problems": ["Disk 93 % full. Remove old projects or add space."] if disk > 90 else [],
        }  # fmt: skip
        node.up, node.last_seen = True, timezone.now() + timedelta(hours=5)
        node.save()
    centers.drain_node(node, drain=True, by=None)
    return list(Node.objects.order_by("name"))


def _project(owner: User, name: str, visibility: str, summary: str) -> Project:
    row = actions.create_project(owner, name, visibility=visibility, summary=summary)
    if name == "energy-forecast":
        actions.update_project(row, by=owner, description=README)
    return row


def _teams(rows: dict[str, Project], cast: dict[str, User]) -> None:
    everyone = [
        ("li", "manager"),
        ("jonas", "editor"),
        ("ada", "editor"),
        ("noor", "viewer"),
        ("sofia", "viewer"),
    ]
    for name, role in everyone:
        actions.set_role(rows["energy-forecast"], name, role, by=cast["mira"])
    for project, row in rows.items():
        if row.owner != cast["mira"] and project != "heat-pumps":
            actions.set_role(row, "mira", "editor", by=row.owner)
    actions.set_role(rows["meter-quality"], "noor", "editor", by=cast["mira"])
    _set_by_hand(rows["energy-forecast"], cast)


def _set_by_hand(project: Project, cast: dict[str, User]) -> None:
    long = "public/a/way/down/many-folders/to-a-name-without-measure-2024-12-31.results.parquet"
    for user, path, rights in [
        ("jonas", "data/raw", "r-x"), ("li", "data/raw/meters-2024.parquet", "r--"),
        ("noor", "secret", "---"), ("tomas", long, "rwx"),
    ]:  # fmt: skip
        actions.set_override(project, user, path, rights, by=cast["mira"])


def run(
    project: Project, user: User, node: Node, app: str, state: str, **fields: object
) -> AppInstance:
    """Add a run of an app as if its node had reported it."""
    Project.objects.filter(pk=project.pk).update(node=node)
    row = AppInstance(project=project, user=user, node=node, app=app, state=state, **fields)
    active = state not in ("stopped", "failed")
    row.slot = AppInstance.slot_of(project, user, app) if active else row.pk.hex
    row.save()
    return row


def launching() -> dict[str, object]:
    """Return the fields of a start that waits for the app's first answer."""
    now = time.time()
    progress = [{"step": s, "at": now - 2, "seconds": t, "fact": f} for s, t, f in FACTS]
    progress[-1]["at"] = now - 1.7
    return {
        "progress": progress,
        "log": LOG,
        "requested_at": timezone.now() - timedelta(seconds=2.1),
    }


def _runs(rows: dict[str, Project], cast: dict[str, User], nodes: list[Node]) -> None:
    mira, ago = cast["mira"], lambda **span: timezone.now() - timedelta(**span)
    done = [{"step": s, "at": 0, "seconds": t or 1.2, "fact": f} for s, t, f in FACTS]
    forecast, node = rows["energy-forecast"], nodes[1]
    since = {"requested_at": ago(hours=3), "running_at": ago(hours=3), "progress": done, "log": LOG}
    run(forecast, mira, node, "lab", "starting", **launching())
    run(forecast, mira, node, "terminal", "running", memory=int(0.3 * GB), **since)
    run(forecast, cast["jonas"], node, "lab", "running", memory=int(3.6 * GB), **since)
    run(forecast, cast["jonas"], node, "terminal", "running", memory=int(0.1 * GB), **since)
    run(rows["wind-wake"], mira, nodes[0], "notebook", "running", memory=int(1.9 * GB), **since)
    run(
        rows["grid-losses"], mira, nodes[0], "lab", "failed",
        requested_at=ago(hours=4), running_at=ago(hours=4), ended_at=ago(minutes=26),
        progress=done, cause="Out of memory: it reached its limit of 4 GB.",
        mend="Read the file in parts, or ask an administrator for a higher limit.",
        log=["[I] Kernel 5f1c: executing cell 14 of 02-train.ipynb",
             "xgboost: building DMatrix, 48,211,904 rows",
             "memory 4.0 of 4.0 GB, limit reached: out of memory", "killed by the node (exit 137)"],
    )  # fmt: skip
    for who, project, app, verb in [
        ("jonas", forecast, "lab", "app.ready"), ("li", rows["wind-wake"], "notebook", "app.ready"),
        ("mira", rows["grid-losses"], "lab", "app.fail"), ("mira", forecast, "lab", "app.start"),
    ]:  # fmt: skip
        AuditEntry.objects.create(
            actor=cast[who],
            actor_name=who,
            verb=verb,
            target=str(project),
            project_id=project.pk,
            detail={"app": app},
        )


def _spread_out() -> None:
    """Give the audit entries times of their own, the newest now."""
    at = timezone.now()
    for number, row in enumerate(AuditEntry.objects.order_by("-at")):
        AuditEntry.objects.filter(pk=row.pk).update(at=at - timedelta(minutes=17 * number**1.3))
    for number, row in enumerate(Project.objects.order_by("created_at")):
        Project.objects.filter(pk=row.pk).update(last_activity=at - timedelta(hours=3 * number))
