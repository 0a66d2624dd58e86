"""The apps of others on MongoDB, whose keys are not numbers that count up.

Our own models have UUIDs for keys and need nothing. Django's and guardian's declare counting keys,
which MongoDB does not have: here they get ObjectIds. An app's key type is a matter of its
configuration, and its migrations create the columns, so both are replaced, on MongoDB alone.
To make the migrations again (for a new Django or guardian), remove them and run, with
``AEN_DATABASE_URL`` naming any MongoDB, which need not be there:
``python -m django makemigrations admin auth contenttypes guardian``
"""

from typing import Final

AUTO_FIELD: Final = "django_mongodb_backend.fields.ObjectIdAutoField"
#: The field of each document that is its key.
KEY: Final = "_id"

_HERE = "aen_site.databases"
#: Sessions are not here: their key is a text.
CONFIGURATIONS: Final = {
    "django.contrib.admin": f"{_HERE}.mongodb_apps.AdminConfig",
    "django.contrib.auth": f"{_HERE}.mongodb_apps.AuthConfig",
    "django.contrib.contenttypes": f"{_HERE}.mongodb_apps.ContentTypesConfig",
    "guardian": f"{_HERE}.mongodb_apps.GuardianConfig",
}
MIGRATIONS: Final = {
    label: f"{_HERE}.mongodb_migrations.{label}"
    for label in ("admin", "auth", "contenttypes", "guardian")
}
