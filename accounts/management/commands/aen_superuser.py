from argparse import ArgumentParser
from typing import Any

from accounts import actions
from accounts.cli import ActionCommand, find_user


class Command(ActionCommand):
    help = "Make somebody an administrator of this site, or an ordinary user again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["add", "remove"])
        parser.add_argument("user")

    def handle(self, *, action: str, user: str, **options: Any) -> None:
        row = find_user(user)
        actions.set_administrator(row, administrator=action == "add", by=None)
        now = "an administrator" if action == "add" else "no administrator any more"
        self.stdout.write(f"{user} is {now}.")
