"""Filling an empty database from a backup, of whatever kind both are."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from accounts.models import User
from aen_site.backup import site
from aen_site.backup.file import Damaged

from .aen_backup import tell


class Command(BaseCommand):
    help = (
        "Fill the database that AEN_DATABASE_URL names, which must be empty, from a file of "
        "aen_backup. All of it is read again and compared; unless it is the same, nothing is kept. "
        "Everybody signs in again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a backup; - is standard input")

    def handle(self, **options: Any) -> None:
        if User._meta.db_table not in connection.introspection.table_names():
            call_command("migrate", verbosity=0, interactive=False)
        try:
            with _opened(options["file"]) as stream:
                restored = site.restore(stream)
        except (site.Refused, Damaged) as refusal:
            raise CommandError(f"Nothing was restored. {refusal}") from refusal
        tell(self.stdout, restored)


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    path = Path(name)
    if not os.access(path, os.R_OK):
        raise CommandError(f"{path} can’t be read by the site’s account; it may come by “-”.")
    with path.open("rb") as stream:
        yield stream
