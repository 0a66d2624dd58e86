"""From ``AEN_DATABASE_URL`` to Django's settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from . import mongodb

#: Milliseconds, unless the address says otherwise: until a page says that there is no database, and
#: until a server that fell silent in the middle of an answer counts as gone.
_PATIENCE = {"serverSelectionTimeoutMS": 5_000, "socketTimeoutMS": 20_000}
ENGINE = "aen_site.databases.mongodb_engine"
SUPPORTED = (
    "sqlite:///path, postgresql://user:password@host:port/name or "
    "mongodb://user:password@host:port/name?replicaSet=rs0"
)
DJONGO = (
    "djongo does not work with the Django that AEN uses: it ended with Django 3.1, and changes made "
    "through it can be lost. Its place is taken by django-mongodb-backend. Install AEN with it: "
    "pip install 'aen[mongodb]', and set "
    "AEN_DATABASE_URL=mongodb://user:password@host:port/name?replicaSet=rs0"
)

#: What may follow the ``?`` of PostgreSQL's address: how to reach it safely, as libpq names it.
_LIBPQ = (
    *("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding", "gssencmode"),
    *("application_name", "connect_timeout", "target_session_attrs"),
)
#: PostgreSQL's connections of the server. A page without a database is refused after ``timeout``
#: seconds, and a database that is back is found within one second more.
_POOL = {"min_size": 0, "max_size": 20, "max_waiting": 200, "timeout": 3, "reconnect_timeout": 1}


@dataclass(frozen=True)
class Chosen:
    """Django's settings for one database: the entry of ``DATABASES``, and what goes with it."""

    settings: dict[str, Any]
    #: Configurations that take the place of other apps' own, by theirs.
    configurations: Mapping[str, str] = field(default_factory=dict)
    #: ``MIGRATION_MODULES``
    migrations: Mapping[str, str] = field(default_factory=dict)
    #: ``DEFAULT_AUTO_FIELD``; no model of ours uses it.
    auto_field: str = "django.db.models.BigAutoField"

    def apps(self, usual: list[str]) -> list[str]:
        """Return ``INSTALLED_APPS`` with this database's configurations in it."""
        return [self.configurations.get(app, app) for app in usual]


def chosen(url: str) -> Chosen:
    """Return the settings for an address. Raises ``ImproperlyConfigured``, naming the mend."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return Chosen(_sqlite(parts.path[1:] if parts.path.startswith("//") else parts.path))
    if parts.scheme in ("postgresql", "postgres"):
        return Chosen(_postgresql(parts))
    if parts.scheme in ("mongodb", "mongodb+srv"):
        return Chosen(_mongodb(url, parts), mongodb.CONFIGURATIONS, mongodb.MIGRATIONS,
                      mongodb.AUTO_FIELD)  # fmt: skip
    if "djongo" in parts.scheme:
        raise ImproperlyConfigured(DJONGO)
    begins = f"begins with “{parts.scheme}:”" if parts.scheme else "does not begin with a scheme"
    raise ImproperlyConfigured(f"AEN_DATABASE_URL {begins}. It may be {SUPPORTED}.")


def named(settings: Mapping[str, Any]) -> str:
    """Return in words, without the password, which database these settings of Django's mean."""
    if settings["ENGINE"] == "django.db.backends.sqlite3":
        return f"the file {settings['NAME']}, which with its folder must be the site’s own"
    if settings["ENGINE"] == ENGINE:
        return f"the database {settings['NAME']}"
    where = settings["HOST"] or "a Unix socket"
    return (
        f"the database {settings['NAME']} of {settings['USER'] or 'the site’s account'} "
        f"at {where}, port {settings['PORT'] or 5432}"
    )


def refuse_djongo(databases: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ``ImproperlyConfigured`` where settings of somebody's own name djongo as engine."""
    if any("djongo" in str(database.get("ENGINE", "")) for database in databases.values()):
        raise ImproperlyConfigured(DJONGO)


def _sqlite(path: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            # A transaction that may write takes the lock when it begins: it waits, never fails.
            "transaction_mode": "IMMEDIATE",
            # Acknowledged is what is on the disk: it outlives a machine that loses its power.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }


def _postgresql(parts: SplitResult) -> dict[str, Any]:
    name = unquote(parts.path.lstrip("/"))
    _written_right(parts)
    if not name:
        raise ImproperlyConfigured(
            "AEN_DATABASE_URL names no database. It stands after the host: "
            "postgresql://user:password@host:port/name"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": _host(parts),
        "PORT": str(parts.port or ""),
        "OPTIONS": {
            # A server that vanished from the network, seconds and milliseconds.
            "connect_timeout": 5,
            "tcp_user_timeout": 10_000,
            **_libpq(parts.query),
        },
        "CONN_HEALTH_CHECKS": True,
    }


def _written_right(parts: SplitResult) -> None:
    """Raise ``ImproperlyConfigured`` where a password was not escaped, or the port is no number.

    Nothing of the address is repeated: what looks like a port or a host may be the password's.
    """
    if parts.netloc.count("@") > 1 or "@" in parts.path + parts.query + parts.fragment:
        raise ImproperlyConfigured(
            "AEN_DATABASE_URL has more than one “@”, or one behind a “/”, “?” or “#”. Of the password "
            "these are written as %40 for @, %2F for /, %3A for :, %3F for ?, %23 for #, %25 for %."
        )
    try:
        parts.port  # noqa: B018 - computed here, and refused
    except ValueError:
        raise ImproperlyConfigured(
            "AEN_DATABASE_URL has a port that is no number from 1 to 65535. It stands between host "
            "and name: postgresql://user:password@host:port/name"
        ) from None


def _libpq(query: str) -> dict[str, str]:
    """Return the parameters of the address for libpq; none is passed over without a word."""
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in given:
        if name not in _LIBPQ:
            raise ImproperlyConfigured(
                f"AEN_DATABASE_URL has the parameter “{name}”. It may have {', '.join(_LIBPQ)}."
            )
    return given


def _host(parts: SplitResult) -> str:
    """Return the host, or the folder of a Unix socket, whose capital letters ``hostname`` loses."""
    written = unquote(parts.netloc.rpartition("@")[2].partition(":")[0])
    return written if written.startswith("/") else unquote(parts.hostname or "")


def share_connections(settings: dict[str, Any]) -> None:
    """Have a process with many threads, the server, keep PostgreSQL's connections in a pool.

    Each request has a thread of its own, so that a connection kept by its thread is new for every one;
    a new one costs PostgreSQL more than all else that a page asks of it. Commands say better without
    a pool why there is no connection.
    """
    if settings["ENGINE"] == "django.db.backends.postgresql":
        settings["OPTIONS"]["pool"] = _POOL


def _mongodb(url: str, parts: SplitResult) -> dict[str, Any]:
    if find_spec("django_mongodb_backend") is None:
        raise ImproperlyConfigured(
            "AEN_DATABASE_URL names MongoDB, for which django-mongodb-backend is missing. Install "
            "AEN with it: pip install 'aen[mongodb]'"
        )
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(
            "AEN_DATABASE_URL names no database. It stands after the host: "
            "mongodb://user:password@host:port/name?replicaSet=rs0"
        )
    # Acknowledged is what a majority of the replica set has on disk: a failover loses none of it.
    options: dict[str, Any] = {"w": "majority", "journal": True}
    given = {key.lower() for key in parse_qs(parts.query)}
    options |= {key: value for key, value in _PATIENCE.items() if key.lower() not in given}
    return {"ENGINE": ENGINE, "HOST": url, "NAME": name, "OPTIONS": options}
