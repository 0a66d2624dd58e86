"""Of a browser's session only a digest of its key is kept; whoever is signed in stays so."""

import hashlib

from django.db import migrations


def hide(apps, schema_editor):
    sessions = apps.get_model("sessions", "Session").objects
    for key in list(sessions.values_list("pk", flat=True)):
        sessions.filter(pk=key).update(session_key=hashlib.sha256(key.encode()).hexdigest()[:40])


def forget(apps, schema_editor):
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_former_names"), ("sessions", "0001_initial")]

    operations = [migrations.RunPython(hide, forget)]
