"""Fills a new database with a small site, of each table and of values that databases may change."""

from datetime import UTC, datetime


def add():
    from django.contrib.admin.models import LogEntry
    from django.contrib.contenttypes.models import ContentType
    from django.utils import timezone

    from accounts import actions as accounts
    from accounts.models import FormerName, Job
    from datacenters import actions as datacenters
    from datacenters.models import DataCenter, Node, NodeCommand
    from projects import access, actions
    from projects.models import AppInstance, Project

    #: Microseconds, and an hour that clocks in Europe don't have.
    moment = datetime(2026, 3, 29, 1, 59, 59, 999_999, UTC)
    offers = [{"name": "lab", "title": "JupyterLab", "icon": "lab", "landing": ""}]
    Node.objects.update(up=True, last_seen=timezone.now(), status={"apps": offers})
    center = DataCenter.objects.get()
    datacenters.enroll_gateway("north", center, "http://gateway.test", by=None)
    NodeCommand.objects.create(node=Node.objects.get(), body="{}", sent_at=moment)

    mira = accounts.create_user("mira", by=None, password="mira-Secret-1", is_staff=True)
    accounts.create_token(mira, "a script", ["api"], by=mira)
    mira.user_permissions.add(access.role_permissions().first())
    FormerName.objects.create(pk="edda")
    LogEntry.objects.create(
        user=mira, action_flag=2, object_repr="x", change_message="[]",
        content_type=ContentType.objects.get_for_model(Project),
    )  # fmt: skip

    project = Project.objects.select_related("owner").order_by("name").first()
    actions.set_role(project, "mira", "editor", by=project.owner)
    actions.set_override(project, "mira", "Größe/a b", "r-x", by=project.owner)
    group = mira.groups.create(name="night-shift")
    group.permissions.add(access.role_permissions().last())
    row = actions.start_app(project, "lab", by=mira)
    AppInstance.objects.filter(pk=row.pk).update(
        state="failed", slot=row.pk.hex, memory=2**62, processors=0.1, exit_code=-9,
        running_at=moment, ended_at=moment,
        progress=[{"step": "ready", "at": 1790000000.123456, "seconds": 2.0}],
    )  # fmt: skip
    deep = {"a.b": {"$c": [1, 2.0, 2**53 + 1, None, True, "", {}]}, "'\\\"\U0001f40d": []}
    Job.objects.create(kind="note", payload=deep, run_at=moment)


if __name__ == "__main__":
    import django

    django.setup()
    from django.core.management import call_command

    from tests.bench.large_site import fill

    call_command("migrate", verbosity=0)
    fill(people=10, projects=20, shared_with=2)
    add()
