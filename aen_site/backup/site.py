"""The database as a whole: writing all of it down, and filling an empty one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import IO, Any

from django.db import DatabaseError
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from accounts.models import RestoreUnderWay
from accounts.transactions import filling, one_moment

from . import file
from .rows import AT_ONCE, Names, Plain, Table, Unknown
from .sums import Sums
from .tables import KEPT

#: Apps whose migrations must be the same in a backup and where it is restored.
_OURS = ("accounts", "datacenters", "projects")


class Refused(Exception):
    """The backup does not go into this database; the text says why and what would mend it."""


def backup(stream: IO[bytes]) -> Sums:
    """Write all rows, as of one moment, and return what was written. Raises ``Refused``."""
    refuse_a_part()
    sums = Sums()
    with one_moment():
        tables = _tables()
        head = {
            "made": timezone.now().isoformat(),
            "migrations": _migrations(),
            "tables": {table.label: table.columns for table in tables},
        }
        file.write(stream, head, _all_rows(tables, sums), sums.as_json)
    return sums


def _all_rows(tables: list[Table], sums: Sums) -> Iterator[Plain]:
    for number, table in enumerate(tables):
        for row in table.rows():
            sums.add(table, row)
            yield [number, *row]


def restore(stream: IO[bytes]) -> Sums:
    """Fill this database, which is migrated and empty, and return what it then holds.

    Raises ``Refused`` or ``file.Damaged``; nothing is changed then. What a restore left that was
    broken off (on MongoDB, whose transactions end after a minute) is replaced.
    """
    reader = file.Reader(stream)
    tables = _tables()
    _check(reader.head, tables)
    with _errors_in_words():
        if RestoreUnderWay.objects.exists():
            _empty(tables)
        _require_empty(tables)
        with filling(undo=partial(_empty, tables)):
            RestoreUnderWay.objects.create()
            _fill(reader, tables)
            found = held(tables)
            if found.as_json() != reader.end:
                raise Refused("What the database then held was not what the backup says.")
            RestoreUnderWay.objects.all().delete()
    return found


def refuse_a_part() -> None:
    """Raise ``Refused`` where the database holds a part of a backup, which is no site."""
    if RestoreUnderWay.objects.exists():
        raise Refused(
            "The database holds a part of a backup: a restore was broken off, or is under way. "
            "Restore it again, which replaces that part: manage.py aen_restore FILE"
        )


def _empty(tables: list[Table]) -> None:
    """Remove all rows that a restore wrote, and last the mark that it did."""
    for table in reversed(tables):
        table.clear()
    RestoreUnderWay.objects.all().delete()


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except Unknown as missing:
        raise Refused(f"It names what this database does not know: {missing}.") from missing
    except DatabaseError as error:
        raise Refused(f"The database did not take it: {error}") from error
    except (IndexError, TypeError, ValueError) as error:
        raise file.Damaged(f"A line of it can’t be understood: {error}.") from error


def _require_empty(tables: list[Table]) -> None:
    for table in tables:
        if not table.is_empty():
            raise Refused(
                f"The database holds rows of {table.label} already. A backup goes into an empty one "
                "only."
            )


def held(tables: list[Table] | None = None) -> Sums:
    """Return what the database holds, of what a backup keeps."""
    sums = Sums()
    for _ in _all_rows(tables or _tables(), sums):
        pass
    return sums


def _tables() -> list[Table]:
    names = Names()
    return [Table(label, names) for label in KEPT]


def _check(head: dict[str, Any], tables: list[Table]) -> None:
    if head.get("migrations") != _migrations():
        raise Refused(
            "The backup was made by another version of AEN, whose tables differ: "
            f"{head.get('migrations')} there, {_migrations()} here. Restore it with that version, "
            "then upgrade."
        )
    if head.get("tables") != {table.label: table.columns for table in tables}:
        raise Refused("The backup has other tables or columns than this version of AEN.")


def _migrations() -> dict[str, str]:
    """Return the newest migration of each of our apps."""
    leaves = MigrationLoader(None, ignore_no_migrations=True).graph.leaf_nodes()
    return {app: name for app, name in leaves if app in _OURS}


def _fill(reader: file.Reader, tables: list[Table]) -> None:
    now = timezone.now()
    for number, rows in groupby(reader.rows(), itemgetter(0)):
        table = tables[number]
        more = {"last_login": now} if table.label == "accounts.User" else {}
        while chunk := list(islice(rows, AT_ONCE)):
            table.add([row[1:] for row in chunk], **more)
