"""Called by ``make run``: the administrator and the local data center, made once."""

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts import actions as accounts
from accounts.cli import ActionCommand
from accounts.models import User
from aen_site.backup.site import Refused, refuse_a_part
from datacenters import actions as datacenters
from datacenters.files import write_secret
from datacenters.models import Gateway

LOCAL = "local"


class Command(ActionCommand):
    help = "Set up this site's administrator and its local data center. Safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--gateway-url", required=True, help="Where browsers reach the gateway."
        )
        parser.add_argument("--node-address", required=True, help="unix:/path of the agent")
        parser.add_argument("--credential-file", type=Path, required=True)
        parser.add_argument("--id-file", type=Path, help="Where the gateway's id is written.")

    def handle(self, **options: Any) -> None:
        try:
            refuse_a_part()
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal
        self._administrator()
        gateway = self._gateway(options["gateway_url"], options["credential_file"])
        datacenters.enroll_node(LOCAL, gateway.data_center, options["node_address"], by=None)
        if options["id_file"]:
            options["id_file"].write_text(gateway.pk.hex)
        self.stdout.write(f"Gateway id: {gateway.pk.hex}")

    def _administrator(self) -> None:
        if User.objects.filter(is_superuser=True).exists():
            return
        name = os.environ.get("AEN_ADMIN_USER") or "admin"
        given = _secret_from_environment("AEN_ADMIN_PASSWORD")
        password = given or secrets.token_urlsafe(12)
        accounts.create_user(name, by=None, password=password, is_staff=True, is_superuser=True)
        shown = "as given in AEN_ADMIN_PASSWORD" if given else f"{password}  (shown this once)"
        self.stdout.write(f"Administrator: {name}  Password: {shown}")

    @staticmethod
    def _gateway(url: str, credential_file: Path) -> Gateway:
        row = Gateway.objects.filter(name=LOCAL).first()
        if row is not None and credential_file.exists():
            datacenters.move_gateway(row, url, by=None)
            return row
        center = datacenters.ensure_data_center(LOCAL, by=None)
        row, credential = datacenters.enroll_gateway(LOCAL, center, url, by=None)
        write_secret(credential_file, credential)
        return row


def _secret_from_environment(name: str) -> str | None:
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text().strip()
    return os.environ.get(name) or None
