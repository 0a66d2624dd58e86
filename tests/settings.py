"""The server's settings, for tests: a secret of their own, fast hashing, a database that goes.

``AEN_TEST_DATABASE_URL`` has them run on another database than SQLite: on one beside the named one,
whose name begins with ``test_``, made before the tests and removed after them.
"""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("AEN_SECRET_KEY", "only-for-tests-" + "x" * 32)
os.environ.setdefault("AEN_HOME", "/nonexistent/aen-tests")
os.environ["AEN_PUBLIC_URL"] = "http://testserver"
os.environ["AEN_DATABASE_URL"] = elsewhere = os.environ.get("AEN_TEST_DATABASE_URL", "")

from aen_site.settings import *  # noqa: F403
from aen_site.settings import DATABASES, MIDDLEWARE

MIDDLEWARE.remove("whitenoise.middleware.WhiteNoiseMiddleware")  # there are no collected files
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if not elsewhere:
    # A file, not memory: threads race for it as a site's processes do.
    _database = Path(tempfile.gettempdir()) / f"aen-test-{os.getuid()}-{os.getpid()}.sqlite3"
    DATABASES["default"] |= {"NAME": str(_database), "TEST": {"NAME": str(_database)}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
