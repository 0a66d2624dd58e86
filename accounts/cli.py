"""What the commands share: finding people, and refusing in one line with a non-zero exit."""

import json
import os
import pwd
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from .errors import ActionError
from .models import User
from .transactions import AWAY


def find_user(username: str) -> User:
    """Return the person; raises ``CommandError`` naming them if there is none."""
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user “{username}”.")
    return user


class ActionCommand(BaseCommand):
    """A command that calls actions: what they refuse becomes one line on standard error."""

    requires_migrations_checks = True

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except ActionError as error:
            raise CommandError(error.detail) from error
        except AWAY as error:
            cause = str(error).partition("\n")[0]
            raise CommandError(
                f"The database does not answer: {cause}. Check AEN_DATABASE_URL and its server."
            ) from error

    def show(self, rows: list[dict[str, Any]], *, as_json: bool) -> None:
        """Print rows as JSON or as aligned columns."""
        if as_json:
            self.stdout.write(json.dumps(rows, indent=2, default=str))
            return
        if not rows:
            self.stdout.write("None.")
            return
        heads = list(rows[0])
        table = [heads, *([str(row[head] or "") for head in heads] for row in rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(heads))]
        for line in table:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())


def denied(error: OSError) -> str:
    """Return why a file is out of reach: that a command runs as the site's account is not seen."""
    said = error.strerror or str(error)
    if not isinstance(error, PermissionError):
        return said
    name = pwd.getpwuid(os.geteuid()).pw_name
    return f"{said} for the account {name}, as which this command acts on the site"
