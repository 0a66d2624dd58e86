"""Whether a database was changed by a newer version of AEN."""

from django.db.migrations.loader import MigrationLoader

_OURS = ("accounts", "datacenters", "projects")


def newer(loader: MigrationLoader) -> list[str]:
    """Return the migrations of ours, ``app.name``, that were applied and come after all we know.

    Those before are no sign: a release may have put several into one.
    """
    last = {app: max(_number(n) for a, n in loader.disk_migrations if a == app) for app in _OURS}
    return sorted(
        f"{app}.{name}"
        for app, name in loader.applied_migrations or ()
        if app in last and _number(name) > last[app]
    )


def _number(name: str) -> int:
    digits = name.partition("_")[0]
    return int(digits) if digits.isdigit() else 0
