"""Django settings of the gateway: what Channels and signing need, and nothing else.

There is no database, no user model and no session here; see ``config`` for the gateway's own
configuration.
"""

from .config import load, read_secret

CONFIG = load()

SECRET_KEY = read_secret(CONFIG.secret_key_file)
DEBUG = False
ALLOWED_HOSTS: list[str] = []
INSTALLED_APPS = ["channels"]
DATABASES: dict[str, object] = {}
USE_TZ = True
TIME_ZONE = "UTC"  # of the log, as the server's
LOGGING_CONFIG = None
ASGI_APPLICATION = "gateway.asgi.application"
