"""Settings of the server. Everything a site may change comes from its environment."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from . import databases, environment

BASE_DIR = Path(__file__).parent.parent
AEN_HOME = environment.home()

SECRET_KEY = environment.secret("AEN_SECRET_KEY")
DEBUG = False

# --- database -------------------------------------------------------------------------------------
_database = databases.chosen(
    os.environ.get("AEN_DATABASE_URL") or f"sqlite:///{AEN_HOME}/server/db.sqlite3"
)
DATABASES = {"default": _database.settings}
MIGRATION_MODULES = dict(_database.migrations)
DEFAULT_AUTO_FIELD = _database.auto_field

# --- addresses ------------------------------------------------------------------------------------
AEN_PUBLIC_URL = os.environ.get("AEN_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
AEN_GATEWAY_PUBLIC_URL = os.environ.get("AEN_GATEWAY_PUBLIC_URL", "http://127.0.0.1:8089").rstrip(
    "/"
)
#: Where the server listens, for commands that look whether it does; empty where nobody says.
AEN_SERVER_URL = os.environ.get("AEN_SERVER_URL", "")
_public = urlsplit(AEN_PUBLIC_URL)
ALLOWED_HOSTS = list({_public.hostname, "127.0.0.1", "localhost", "[::1]"} - {None})
CSRF_TRUSTED_ORIGINS = [AEN_PUBLIC_URL]
_https = _public.scheme == "https"
#: Who may say for whom a request is and by which scheme it came; see ``BehindProxy``.
AEN_TRUSTED_PROXIES = environment.proxies(
    "AEN_TRUSTED_PROXIES", default="127.0.0.0/8 ::1 unix" if _https else ""
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# --- how this site runs apps, for the pages ---------------------------------------------------------
AEN_SINGLE_ACCOUNT = (
    os.environ.get("AEN_SINGLE_ACCOUNT", "")
    if os.environ.get("AEN_SERVICE_MODE") == "single"
    else ""
)
#: Seconds for which a gateway may remember that a request was allowed.
AEN_ACCESS_TTL = float(os.environ.get("AEN_ACCESS_TTL", "10"))
#: Seconds after which a start that says nothing any more counts as failed.
AEN_START_TIMEOUT = float(os.environ.get("AEN_START_TIMEOUT", "120"))
#: Hours after which an app that nobody uses is stopped, and the same for single apps; 0: never.
AEN_IDLE_STOP = environment.hours("AEN_IDLE_STOP")
AEN_IDLE_STOP_APPS = environment.hours_of_apps("AEN_IDLE_STOP_APPS")

INSTALLED_APPS = _database.apps(
    [
        "aen_site.apps.AenSiteConfig",
        "projects.apps.ProjectsConfig",
        "datacenters.apps.DatacentersConfig",
        "accounts.apps.AccountsConfig",
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "guardian",
        "channels",
        "django_htmx",
        "bootstrap",
    ]
)

MIDDLEWARE = [
    "aen_site.middleware.BehindProxy",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "aen_site.middleware.SecurityHeaders",
    "aen_site.middleware.ApiErrors",
    "aen_site.middleware.RefuseNul",
    "aen_site.middleware.CanonicalHost",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.presence.Presence",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "aen_site.urls"
ASGI_APPLICATION = "aen_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "aen_site.context.site",
            ],
        },
    }
]

# --- people -----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
ANONYMOUS_USER_NAME = None  # guardian: no row stands for people who are not signed in
GUARDIAN_MONKEY_PATCH_USER = False
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 10},
        "CommonPasswordValidator": {},
        "NumericPasswordValidator": {},
    }.items()
]
PASSWORD_RESET_TIMEOUT = 3 * 24 * 3600
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:login"

# Browsers send a host's cookies to all its ports, so ours bear a prefix by which gateways know them.
# By https they bear another before it: then no other host of the domain can set them.
_prefix = "__Host-" if _https else ""
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_NAME = f"{_prefix}aen_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = _https
# Not in a cookie of Django's, which gateways would hand to apps.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
CSRF_COOKIE_NAME = f"{_prefix}aen_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = _https

# --- pages ------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = AEN_HOME / "server" / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_MANIFEST_STRICT = False
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {"away": {"()": "aen_site.away.InOneLine"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "psycopg.pool": {"level": "WARNING", "filters": ["away"]},
        "django.request": {"level": "ERROR", "filters": ["away"]},
        # What strangers send is refused; a traceback for each would only fill the log.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django.security.RequestDataTooBig": {"level": "CRITICAL"},
    },
}
