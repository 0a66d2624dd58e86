"""Names of people who were removed are kept from others; the audit log knows the earlier ones."""

import django.utils.timezone
from django.db import migrations, models


def keep_earlier_names(apps, schema_editor):
    entries = apps.get_model("accounts", "AuditEntry").objects
    former = apps.get_model("accounts", "FormerName").objects
    taken = set(apps.get_model("accounts", "User").objects.values_list("username", flat=True))
    removed = entries.filter(verb="account.remove").values_list("target", "at")
    for name, at in removed:
        if name not in taken and len(name) <= 32:
            former.get_or_create(pk=name, defaults={"at": at})


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_sign_in_attempts")]

    operations = [
        migrations.CreateModel(
            name="FormerName",
            fields=[
                (
                    "name",
                    models.CharField(
                        editable=False, max_length=32, primary_key=True, serialize=False
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(default=django.utils.timezone.now, editable=False),
                ),
            ],
            options={"ordering": ["name"]},
        ),
        migrations.RunPython(keep_earlier_names, migrations.RunPython.noop),
    ]
