from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.cli import ActionCommand
from datacenters import actions
from datacenters.models import DataCenter, Node


class Command(ActionCommand):
    help = "Enrol, list, drain or remove the nodes of this site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="action", required=True)
        enroll = commands.add_parser("enroll", help="Add a node, or change its address.")
        enroll.add_argument("name")
        enroll.add_argument("--address", required=True, help="unix:/path or https://host:5002")
        enroll.add_argument("--data-center", required=True)
        enroll.add_argument("--description", default="")
        listing = commands.add_parser("list", help="List the nodes.")
        listing.add_argument("--json", action="store_true")
        drain = commands.add_parser("drain", help="Take no new projects; what runs goes on.")
        drain.add_argument("name")
        drain.add_argument("--undo", action="store_true", help="Take new projects again.")
        remove = commands.add_parser("remove", help="Remove a node that holds no projects.")
        remove.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(options)

    def _enroll(self, options: dict[str, Any]) -> None:
        center = DataCenter.objects.filter(name=options["data_center"]).first()
        if center is None:
            raise CommandError(
                f"There is no data center “{options['data_center']}”. Enrol its gateway first."
            )
        row = actions.enroll_node(
            options["name"], center, options["address"], by=None, description=options["description"]
        )
        self.stdout.write(f"Enrolled {row.name}, id {row.pk.hex}.")

    def _list(self, options: dict[str, Any]) -> None:
        rows = [
            {
                "name": row.name,
                "id": row.pk.hex,
                "data_center": row.data_center.name,
                "address": row.address,
                "state": row.state,
                "up": row.is_up,
                "cause": row.cause,
            }
            for row in Node.objects.select_related("data_center")
        ]
        self.show(rows, as_json=options["json"])

    def _drain(self, options: dict[str, Any]) -> None:
        row = self._find(options["name"])
        actions.drain_node(row, drain=not options["undo"], by=None)
        self.stdout.write(f"{row.name} is {row.state}.")

    def _remove(self, options: dict[str, Any]) -> None:
        row = self._find(options["name"])
        actions.remove_node(row, by=None)
        self.stdout.write(f"Removed {row.name}.")

    @staticmethod
    def _find(name: str) -> Node:
        row = Node.objects.filter(name=name).first()
        if row is None:
            raise CommandError(f"There is no node “{name}”.")
        return row
