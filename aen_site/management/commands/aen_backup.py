"""All of the site's data in one file."""

import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

from accounts.cli import ActionCommand
from aen_site.backup import site
from aen_site.backup.sums import Sums


class Command(ActionCommand):
    help = (
        "Write the site's data into a new file: people, projects, teams, tokens, audit, in a form "
        "that aen_restore puts into SQLite, PostgreSQL or MongoDB. The site may run meanwhile. "
        "Files of projects, browsers' sessions and the secret key are not in it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="a new file; - is standard output")

    def handle(self, **options: Any) -> None:
        if options["file"] == "-":
            tell(self.stderr, _all_of_it(sys.stdout.buffer))
        else:
            tell(self.stdout, _write(Path(options["file"])))


def _all_of_it(stream: IO[bytes]) -> Sums:
    try:
        return site.backup(stream)
    except site.Refused as refusal:
        raise CommandError(f"Nothing was written. {refusal}") from refusal


def _write(path: Path) -> Sums:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandError(f"{path} can’t be made: {error.strerror}.{_mend(error)}") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            written = _all_of_it(stream)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return written


def _mend(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return " The command runs as the site’s account; “aen_backup - > FILE” writes as yourself."
    return ""


def tell(out: Any, sums: Sums) -> None:
    """Print what was written, or restored: equal lines mean equal data."""
    width = max(map(len, sums.counts), default=0)
    for label, count in sums.counts.items():
        out.write(f"{label:{width}}  {count:>9,}")
    out.write(f"digest  {sums.digest}")
