"""Filling a migrated, empty database with a large site: ``python large_site.py PEOPLE PROJECTS …``.

Rows are made in bulk, as years of use would leave them: each project has an owner, a team, and an
entry in the audit.
"""

import sys
import uuid

SHARED_WITH = 5


def fill(people, projects, shared_with=SHARED_WITH):
    """Add so many people and projects, each project shared with so many people."""
    from django.contrib.auth.models import Group
    from django.contrib.contenttypes.models import ContentType
    from guardian.models import GroupObjectPermission, UserObjectPermission

    from accounts.models import AuditEntry, User
    from datacenters import actions as datacenters
    from projects.access import role_permissions
    from projects.models import Project

    center = datacenters.ensure_data_center("north", by=None)
    datacenters.enroll_node("node-1", center, "unix:/nowhere/agent.sock", by=None)
    persons = User.objects.bulk_create(
        [User(username=name, unix_account=name, password="!")
         for name in (f"person-{number}" for number in range(people))],
        batch_size=2000,
    )  # fmt: skip
    rows = Project.objects.bulk_create(
        [Project(owner=persons[number % people], name=f"project-{number}", data_center=center,
                 summary=f"Größe {number}", visibility="private" if number % 10 else "public")
         for number in range(projects)],
        batch_size=2000,
    )  # fmt: skip
    roles, kind = list(role_permissions()), ContentType.objects.get_for_model(Project)
    UserObjectPermission.objects.bulk_create(
        [UserObjectPermission(
            permission=roles[(number + share) % len(roles)], content_type=kind,
            object_pk=str(row.pk), user=persons[(number * 7 + share + 1) % people])
         for number, row in enumerate(rows) for share in range(shared_with)],
        batch_size=2000,
    )  # fmt: skip
    AuditEntry.objects.bulk_create(
        [AuditEntry(actor=row.owner, actor_name=row.owner.username, verb="project.create",
                    target=str(row), project_id=row.pk, detail={"number": number, "part": 0.5})
         for number, row in enumerate(rows)],
        batch_size=2000,
    )  # fmt: skip
    group = Group.objects.create(name=f"analysts-{uuid.uuid4().hex[:6]}")
    persons[0].groups.add(group)
    GroupObjectPermission.objects.create(
        permission=roles[0], content_type=kind, object_pk=str(rows[0].pk), group=group
    )


if __name__ == "__main__":
    import django

    django.setup()
    fill(*map(int, sys.argv[1:]))
