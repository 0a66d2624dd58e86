"""The server's settings, for tests: a secret of their own, fast hashing, no manifest."""

import os

os.environ.setdefault("AEN_SECRET_KEY", "only-for-tests-" + "x" * 32)
os.environ.setdefault("AEN_HOME", "/nonexistent/aen-tests")

from aen_site.settings import *  # noqa: E402, F403

ALLOWED_HOSTS = ["*"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": ":memory:",
        "TEST": {"NAME": None},
    }
}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
