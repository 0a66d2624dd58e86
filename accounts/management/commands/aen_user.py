import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts import actions
from accounts.cli import ActionCommand, denied, find_user


class Command(ActionCommand):
    help = (
        "Add, lock, unlock or remove a user, or free the name of one who was removed. “add” prints "
        "a link, good for one use within three days, on which they set their password, unless "
        "--password-file names a file with it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["add", "remove", "free", "lock", "unlock"])
        parser.add_argument("user")
        parser.add_argument("--full-name", default="")
        parser.add_argument("--password-file", type=Path, help="- is standard input")

    def handle(self, *, action: str, user: str, **options: Any) -> None:
        getattr(self, f"_{action}")(user, options)

    def _add(self, name: str, options: dict[str, Any]) -> None:
        file: Path | None = options["password_file"]
        password = _read(file) if file else None
        user = actions.create_user(name, by=None, full_name=options["full_name"], password=password)
        self.stdout.write(f"Added {name}.")
        if password is None:
            link = settings.AEN_PUBLIC_URL + actions.password_link(user, by=None)
            self.stdout.write(f"They set their password at: {link}")

    def _remove(self, name: str, options: dict[str, Any]) -> None:
        actions.delete_user(find_user(name), by=None)
        self.stdout.write(f"Removed {name}. The name is kept: nobody else gets it.")

    def _free(self, name: str, options: dict[str, Any]) -> None:
        actions.free_name(name, by=None)
        self.stdout.write(f"Freed {name}: the next one of that name gets what is left of theirs.")

    def _lock(self, name: str, options: dict[str, Any]) -> None:
        actions.lock_user(find_user(name), by=None)
        self.stdout.write(f"Locked {name}: signed out everywhere.")

    def _unlock(self, name: str, options: dict[str, Any]) -> None:
        actions.unlock_user(find_user(name), by=None)
        self.stdout.write(f"Unlocked {name}.")


def _read(file: Path) -> str:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
    except OSError as error:
        mend = "It may come by “--password-file -”, from standard input."
        raise CommandError(f"{file} can’t be read: {denied(error)}. {mend}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"The password in {file} is not text in UTF-8.") from error
    return text.rstrip("\n")
