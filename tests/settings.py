"""The server's settings, for tests: a secret of their own, fast hashing, a database that goes.

``AEN_TEST_DATABASE_URL`` has them run on another database than SQLite: on one beside the named one,
whose name begins with ``test_``, made before the tests and removed after them. The words
``postgresql`` and ``mongodb`` alone stand for a server that the tests start themselves.
"""

import atexit
import os
import tempfile
from pathlib import Path

os.environ.setdefault("AEN_SECRET_KEY", "only-for-tests-" + "x" * 32)
os.environ.setdefault("AEN_HOME", "/nonexistent/aen-tests")
os.environ["AEN_PUBLIC_URL"] = "http://testserver"
#: Empty: SQLite.
TEST_DATABASE = os.environ.get("AEN_TEST_DATABASE_URL", "")
STARTED_BY_TESTS = TEST_DATABASE if TEST_DATABASE in ("postgresql", "mongodb") else ""
os.environ["AEN_DATABASE_URL"] = (
    f"{STARTED_BY_TESTS}://aen@known-when-it-runs/aen" if STARTED_BY_TESTS else TEST_DATABASE
)

from aen_site.settings import *  # noqa: E402, F403
from aen_site.settings import DATABASES, MIDDLEWARE  # noqa: E402

MIDDLEWARE.remove("whitenoise.middleware.WhiteNoiseMiddleware")  # there are no collected files
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if not TEST_DATABASE:
    # A file, not memory: threads race for it as a site's processes do.
    _database = Path(tempfile.gettempdir()) / f"aen-test-{os.getuid()}-{os.getpid()}.sqlite3"
    DATABASES["default"] |= {"NAME": str(_database), "TEST": {"NAME": str(_database)}}
    # It need not outlive the machine.
    DATABASES["default"]["OPTIONS"]["init_command"] = (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    )

    @atexit.register
    def _leave_nothing() -> None:
        """Remove it also where no test needed it, and its log, which a thread may have kept."""
        for path in _database.parent.glob(f"{_database.name}*"):
            path.unlink(missing_ok=True)


STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
