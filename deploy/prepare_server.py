"""The server's and the gateway's set-up, run as the service account: ``-m deploy.prepare_server``.

One process does it all, because starting Django takes longer than most of what it does here.

Takes JSON on standard input: ``{"gateway_config": "path", "gateway": {…},
"installed": "digest", "setup": [arguments]}``.
"""

import io
import json
import os
import sys
from pathlib import Path

from deploy.say import Problem, line, problems_end_it, step

_GATEWAY_ID = "Gateway id: "


def main() -> None:
    wanted = json.load(sys.stdin)
    with problems_end_it():
        import django
        from django.core.exceptions import ImproperlyConfigured
        from django.db import DatabaseError

        try:
            django.setup()
            migrate()
        except ImproperlyConfigured as error:
            raise Problem("The database cannot be used.", str(error)) from error
        except DatabaseError as error:
            raise Problem("The database cannot be used.", str(error), _mend()) from error
        collect_static(wanted["installed"])
        gateway_id = set_up(wanted["setup"])
        gateway = wanted["gateway"] | {"gateway_id": gateway_id}
        write_gateway_config(Path(wanted["gateway_config"]), gateway)


def write_gateway_config(path: Path, wanted: dict[str, object]) -> None:
    """Bring ``gateway.json`` up to date, keeping what else stands in it."""
    try:
        now = json.loads(path.read_text())
    except FileNotFoundError:
        now = {}
    except ValueError as error:
        raise Problem(f"{path} is not JSON.", str(error), "Mend or remove it.") from error
    if now | wanted != now:
        path.write_text(json.dumps(now | wanted, indent=2) + "\n")
        path.chmod(0o600)


def _mend() -> str:
    from django.conf import settings

    from aen_site.databases import named

    return (
        f"AEN_DATABASE_URL means {named(settings.DATABASES['default'])}. "
        "Mend the address, or see to the database."
    )


def migrate() -> None:
    """Apply the migrations that are not, and say how many.

    Raises ``Problem`` where a newer version of AEN has been there.
    """
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from aen_site.databases import newer

    executor = MigrationExecutor(connection)
    if unknown := newer(executor.loader):
        raise Problem(
            "The database belongs to a newer version of AEN.",
            f"It has what this version does not know: {', '.join(unknown)}.",
            "Run the newer version, or restore a backup made by this one into an empty database.",
        )
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        step("Database", f"applying {len(plan)} migrations")
        call_command("migrate", verbosity=0, interactive=False)


def collect_static(installed: str) -> None:
    """Gather the pages' files where server and NGINX find them, when another copy is installed."""
    from django.conf import settings
    from django.core.management import call_command

    stamp = Path(settings.STATIC_ROOT) / ".installed"
    if stamp.exists() and stamp.read_text() == installed:
        return
    step("Pages", "gathering and compressing their files")
    before = os.umask(0o022)  # NGINX reads these
    call_command("collectstatic", verbosity=0, interactive=False)
    os.umask(before)
    stamp.write_text(installed)


def set_up(arguments: list[str]) -> str:
    """Create the administrator and enrol the local parts; return the gateway's id."""
    from django.core.management import CommandError, call_command

    said = io.StringIO()
    try:
        call_command("aen_setup", *arguments, stdout=said)
    except CommandError as error:
        raise Problem("The site could not be set up.", str(error)) from error
    gateway_id = ""
    for text in said.getvalue().splitlines():
        if text.startswith(_GATEWAY_ID):
            gateway_id = text.removeprefix(_GATEWAY_ID)
        else:
            line(text)
    return gateway_id


if __name__ == "__main__":
    main()
