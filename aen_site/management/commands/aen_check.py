"""What is wrong with this installation, or with one project, and how to mend it."""

import json
import shutil
from argparse import ArgumentParser
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.errors import ActionError
from accounts.models import User
from aen_site import certificates, databases, health
from aen_site.backup.site import Refused, refuse_a_part
from datacenters.models import Gateway
from projects import checking
from projects.models import Project

#: One finding: what is wrong, and what mends it.
Finding = tuple[str, str]

LOGS = settings.AEN_HOME / "log"
#: Seconds; without a database the server answers after six.
_PATIENCE = 15
#: Megabytes of the disk below which it is spoken of.
_ROOM = 500
#: Days before its end from which a certificate is spoken of.
_SOON = 10


class Command(BaseCommand):
    help = (
        "Say what is wrong with this installation, or with one project and who may do what in it, "
        "and how to mend it. Exits 1 if anything is."
    )
    requires_system_checks = "__all__"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument(
            "--project", metavar="OWNER/NAME", help="check this project and its permissions instead"
        )
        parser.add_argument("--user", default="", help="whose access to explain (else the owner’s)")
        parser.add_argument(
            "--path", default="", help="the file or folder in the project (else the project’s own)"
        )

    def handle(self, **options: Any) -> None:
        if options["project"]:
            self._project(options)
            return
        if options["user"] or options["path"]:
            raise CommandError(
                "--user and --path say what to explain of a --project. Name that, too."
            )
        findings = list(find())
        if options["json"]:
            rows = [{"problem": problem, "mend": mend} for problem, mend in findings]
            self.stdout.write(json.dumps(rows, indent=2))
        elif not findings:
            self.stdout.write("Nothing is wrong.")
        else:
            for problem, mend in findings:
                self.stdout.write(f"{problem}\n    {mend}")
        if not options["json"]:
            for fact, meaning in modes():
                self.stdout.write(f"{fact}\n    {meaning}")
        if findings:
            raise SystemExit(1)

    def _project(self, options: dict[str, Any]) -> None:
        owner, _, name = options["project"].partition("/")
        rows = Project.objects.select_related("owner", "node", "data_center")
        project = rows.filter(owner__username=owner, name=name).first()
        if project is None:
            raise CommandError(f"There is no project “{options['project']}”. Write OWNER/NAME.")
        try:
            found = checking.check(project, options["user"], options["path"])
        except ActionError as refusal:
            raise CommandError(refusal.detail) from refusal
        if options["json"]:
            self.stdout.write(json.dumps(checking.as_json(found), indent=2))
        else:
            self.stdout.write("\n".join(checking.lines(found)))
        if found.problems:
            raise SystemExit(1)


def modes() -> Iterator[tuple[str, str]]:
    """Yield how browsers keep the apps of each gateway apart, and what that means."""
    try:
        gateways = list(Gateway.objects.all())
    except DatabaseError:
        return
    for gateway in gateways:
        if gateway.has_origins:
            yield (
                f"At gateway {gateway.name} each app has a name of its own below {gateway.own_url}.",
                "Browsers keep apps apart: a page of one can neither read nor call another.",
            )
        else:
            yield (
                f"At gateway {gateway.name} all apps share one address, {gateway.url}.",
                "For browsers they are one: a page of one app can call the others of the same person. "
                "With a wildcard name and certificate, set AEN_GATEWAY_PUBLIC_URL (of a gateway "
                "enrolled by hand: enroll --url, and public_url in gateway.json) to https://*.NAME.",
            )


def find() -> Iterator[Finding]:
    """Yield what is wrong; a database that does not answer ends the search."""
    yield from _addresses()
    yield from _disk()
    yield from _server()
    try:
        yield from _database()
        refuse_a_part()
        yield from _people()
        yield from _parts()
        yield from _certificates()
    except Refused as refusal:
        yield str(refusal), "The site does not start until then."
    except DatabaseError as error:
        cause = str(error).partition("\n")[0]
        yield (
            f"The database does not answer: {cause}",
            f"AEN_DATABASE_URL means {databases.named(settings.DATABASES['default'])}. "
            "Mend the address, or see to the database.",
        )


def _disk() -> Iterator[Finding]:
    try:
        free = shutil.disk_usage(settings.AEN_HOME).free // 1_000_000
    except FileNotFoundError:
        return
    if free < _ROOM:
        yield (
            f"Only {free} MB are free on the disk that holds {settings.AEN_HOME}.",
            "Free some: without room nobody signs in, no app starts and nothing is logged.",
        )


def _server() -> Iterator[Finding]:
    """Ask the server itself: what the database has of the others may be seconds old."""
    if not settings.AEN_SERVER_URL:
        return
    url = urlsplit(settings.AEN_SERVER_URL)
    asked = HTTPConnection(url.hostname or "", url.port, timeout=_PATIENCE)
    try:
        asked.request("GET", "/api/v1/health")
        asked.getresponse()
    except (OSError, HTTPException) as error:
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        yield (
            f"The server does not answer at {settings.AEN_SERVER_URL}: {cause}.",
            f"If the site was ended, start it: make run. Else look into {LOGS}/server.log.",
        )
    finally:
        asked.close()


def _addresses() -> Iterator[Finding]:
    public = urlsplit(settings.AEN_PUBLIC_URL)
    loopback = public.hostname in ("127.0.0.1", "localhost", "::1")
    if public.scheme != "https" and not loopback:
        yield (
            f"People reach this site by {settings.AEN_PUBLIC_URL}, which is not encrypted.",
            "Put NGINX with a certificate in front and set AEN_PUBLIC_URL to its https address.",
        )


def _database() -> Iterator[Finding]:
    executor = MigrationExecutor(connection)
    if unknown := databases.newer(executor.loader):
        yield (
            f"The database belongs to a newer version of AEN: it has {', '.join(unknown)}.",
            "Run the newer version, or restore a backup made by this one into an empty database.",
        )
    elif executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield "The database is older than this version of AEN.", "Run: manage.py migrate"


def _mend(message: str) -> str:
    """Return where to look for the cause of what health says."""
    logs = {"Gateway": "gateway.log", "Node": "compute.log", "The worker": "worker.log"}
    log = next((name for begins, name in logs.items() if message.startswith(begins)), "server.log")
    return f"Look into {log}, in {LOGS} or on its own host. Supervisor starts again what ended."


def _certificates() -> Iterator[Finding]:
    """Ask for the certificates that browsers are shown; whoever is not reached from here is left out."""
    own = [gateway.own_url for gateway in Gateway.objects.all()]
    for url in dict.fromkeys([settings.AEN_PUBLIC_URL, *own]):
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            continue
        where = (parts.hostname, parts.port or 443)
        try:
            left = certificates.days_left(*where)
        except certificates.Expired:
            yield (
                f"The certificate of {url} has expired: browsers show a warning and scripts stop.",
                "Renew it where TLS ends, and reload that proxy. A wrong clock looks the same: date.",
            )
            continue
        if left is not None and left < _SOON:
            yield (
                f"The certificate of {url} ends in {left:.0f} days.",
                "Renew it where TLS ends, and reload that proxy.",
            )


def _people() -> Iterator[Finding]:
    if not User.objects.filter(is_superuser=True, is_active=True).exists():
        yield "There is no administrator.", "Run: manage.py aen_superuser add USER"


def _parts() -> Iterator[Finding]:
    for message in health.messages():
        yield message, _mend(message)
    if not Gateway.objects.exists():
        yield "No gateway is enrolled.", "Run: manage.py aen_gateway enroll --help"
