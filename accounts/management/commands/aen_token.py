from argparse import ArgumentParser
from typing import Any

from accounts import actions
from accounts.cli import ActionCommand, find_user


class Command(ActionCommand):
    help = "Print a new API token of a user. It is shown this once; only a digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user")
        parser.add_argument(
            "--scope",
            action="append",
            choices=sorted(actions.SCOPES),
            help="What it opens: api (the REST API) or apps (apps on the gateway). Default: both.",
        )
        parser.add_argument("--name", default="from the command line")

    def handle(self, *, user: str, scope: list[str] | None, name: str, **options: Any) -> None:
        scopes = scope or sorted(actions.SCOPES)
        _, secret = actions.create_token(find_user(user), name, scopes, by=None)
        self.stdout.write(secret)
