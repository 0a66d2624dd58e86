"""Reading the settings of a site from its environment, and refusing bad ones in plain words."""

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

#: How Django's own generated example begins, and how many different characters a secret has.
_EXAMPLE = "django-insecure-"
_FEWEST = 8


def home() -> Path:
    """Return ``AEN_HOME``: the folder of all state."""
    default = "/var/lib/aen" if os.geteuid() == 0 else Path(__file__).parent.parent / "var"
    return Path(os.environ.get("AEN_HOME", default)).absolute()


def secret(name: str) -> str:
    """Return the secret ``name``, or the content of the file that ``name_FILE`` names.

    Raises ``ImproperlyConfigured`` when it is missing, short, or its file is open to others.
    """
    if value := os.environ.get(name):
        return _long_enough(name, value)
    file = os.environ.get(f"{name}_FILE")
    if not file:
        raise ImproperlyConfigured(f"{name}_FILE is not set: it names the file with the secret.")
    path = Path(file)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        value = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE can’t be read: {error}") from error
    if mode & 0o077:
        raise ImproperlyConfigured(f"{path} can be read by others. Mend it with: chmod 600 {path}")
    return _long_enough(str(path), value)


def _long_enough(where: str, value: str) -> str:
    if len(value) < 32:
        raise ImproperlyConfigured(f"The secret in {where} is shorter than 32 characters.")
    if value.startswith(_EXAMPLE) or len(set(value)) < _FEWEST:
        raise ImproperlyConfigured(
            f"The secret in {where} is an example, which everybody knows. Make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return value


def database(url: str) -> dict[str, object]:
    """Return Django's settings for ``sqlite:///path`` or ``postgresql://user:pw@host:port/name``.

    Raises ``ImproperlyConfigured`` naming what is supported for anything else.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(parts.path[1:] if parts.path.startswith("//") else parts.path)
    if parts.scheme in ("postgresql", "postgres"):
        return _postgresql(parts)
    raise ImproperlyConfigured(
        f"AEN_DATABASE_URL begins with “{parts.scheme}:”. It may be sqlite:///path or "
        "postgresql://user:password@host:port/name."
    )


def _sqlite(path: str) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            # A transaction that may write takes the lock when it begins: it waits, never fails.
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _postgresql(parts: object) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
