from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.cli import ActionCommand, denied
from accounts.transactions import atomic, retried
from datacenters import actions
from datacenters.files import write_secret
from datacenters.models import Gateway


class Command(ActionCommand):
    help = "Enrol, list or remove the gateways of this site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        enroll = commands.add_parser("enroll", help="Add a gateway, or give it a new credential.")
        enroll.add_argument("name")
        enroll.add_argument("--url", required=True, help="The address browsers reach it by.")
        enroll.add_argument("--data-center", help="Its data center; default: of its own name.")
        enroll.add_argument("--credential-file", type=Path, required=True,
                            help="Where its credential is written, for it alone to read.")  # fmt: skip
        listing = commands.add_parser("list", help="List the gateways.")
        listing.add_argument("--json", action="store_true")
        remove = commands.add_parser("remove", help="Remove a gateway.")
        remove.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(options)

    @retried
    def _enroll(self, options: dict[str, Any]) -> None:
        name = options["name"]
        with atomic():  # a file that can't be written leaves all as it was, the old credential too
            center = actions.ensure_data_center(options["data_center"] or name, by=None)
            row, credential = actions.enroll_gateway(name, center, options["url"], by=None)
            self._write(options["credential_file"], credential)
        self.stdout.write(
            f"Enrolled {name}, id {row.pk.hex}; credential in {options['credential_file']}"
        )

    @staticmethod
    def _write(file: Path, credential: str) -> None:
        try:
            write_secret(file, credential)
        except OSError as error:
            raise CommandError(
                f"{file} can’t be written: {denied(error)}. Name a file in a folder of its own."
            ) from error

    def _list(self, options: dict[str, Any]) -> None:
        rows = [
            {
                "name": row.name,
                "id": row.pk.hex,
                "data_center": row.data_center.name,
                "url": row.url,
                "up": row.is_up,
                "last_seen": row.last_seen,
            }
            for row in Gateway.objects.select_related("data_center")
        ]
        self.show(rows, as_json=options["json"])

    def _remove(self, options: dict[str, Any]) -> None:
        row = Gateway.objects.filter(name=options["name"]).first()
        if row is None:
            raise CommandError(f"There is no gateway “{options['name']}”.")
        actions.remove_gateway(row, by=None)
        self.stdout.write(f"Removed {row.name}.")
