"""A row of a table as plain values, and back.

Keys of our own are UUIDs and stay. Those of Django's and guardian's tables count up, or are MongoDB's
own, and mean nothing elsewhere: a permission stands for itself by its names, a group by its name,
and rows that nothing refers to get new keys.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models

from accounts.storable import without_nul

from .tables import COLUMNS_LEFT_OUT

#: Rows that are in memory at one time.
AT_ONCE = 2000
#: What stands for rows of tables whose keys differ by database.
_NAMES = {
    "contenttypes.ContentType": ("app_label", "model"),
    "auth.Permission": ("content_type__app_label", "content_type__model", "codename"),
    "auth.Group": ("name",),
}

Plain = list[Any]


class Unknown(Exception):
    """A row refers to something that this database does not have."""


class Table:
    """One table of the database, as rows of plain values in the order of ``columns``."""

    def __init__(self, label: str, names: "Names") -> None:
        self.label = label
        self.model: type[models.Model] = apps.get_model(label)
        left_out = COLUMNS_LEFT_OUT.get(label, set())
        self._fields = [
            field
            for field in self.model._meta.concrete_fields
            if field.name not in left_out and not _is_counting(field)
        ]
        self._converters = [_converter(field, names) for field in self._fields]

    @property
    def columns(self) -> list[str]:
        return [field.name for field in self._fields]

    @cached_property
    def times(self) -> list[int]:
        """Positions of the columns that hold times."""
        found = (isinstance(field, models.DateTimeField) for field in self._fields)
        return [index for index, is_time in enumerate(found) if is_time]

    def rows(self) -> Iterator[Plain]:
        """Yield all rows."""
        out = [converter[0] for converter in self._converters]
        names = [field.attname for field in self._fields]
        found = self.model._base_manager.order_by("pk").values_list(*names)
        for row in found.iterator(chunk_size=AT_ONCE):
            yield [
                None if value is None else convert(value)
                for convert, value in zip(out, row, strict=True)
            ]

    def add(self, rows: Sequence[Plain], **more: Any) -> None:
        """Store rows, each with ``more`` for columns that no file holds. Raises ``Unknown``."""
        self.model._base_manager.bulk_create([self._instance(row, more) for row in rows])

    def _instance(self, row: Plain, more: dict[str, Any]) -> models.Model:
        values = {
            field.attname: None if value is None else converter[1](value)
            for field, converter, value in zip(self._fields, self._converters, row, strict=True)
        }
        return self.model(**values, **more)

    def clear(self) -> None:
        """Remove all rows, and nothing that hangs on them."""
        rows = self.model._base_manager.all()
        rows._raw_delete(rows.db)

    def is_empty(self) -> bool:
        return not self.model._base_manager.exists()


class Names:
    """Keys to names and names to keys, of the tables whose keys differ by database."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Any, list[str]]] = {}
        self._keys: dict[str, dict[tuple[str, ...], Any]] = {}

    def name(self, label: str, key: Any) -> list[str]:
        if key not in self._known.get(label, {}):
            self._read(label)
        return self._known[label][key]

    def key(self, label: str, name: list[str]) -> Any:
        if tuple(name) not in self._keys.get(label, {}):
            self._read(label)
        try:
            return self._keys[label][tuple(name)]
        except KeyError:
            raise Unknown(f"{label} {'.'.join(name)}") from None

    def _read(self, label: str) -> None:
        rows = apps.get_model(label)._base_manager.order_by().values_list("pk", *_NAMES[label])
        self._known[label] = {row[0]: list(row[1:]) for row in rows}
        self._keys[label] = {tuple(name): key for key, name in self._known[label].items()}


Converter = tuple[Callable[[Any], Any], Callable[[Any], Any]]


def _converter(field: models.Field, names: Names) -> Converter:
    """Return how a value of that column becomes plain, and how it comes back."""
    target = field
    while target.is_relation:
        label = target.related_model._meta.label
        if label in _NAMES:
            return partial(names.name, label), partial(names.key, label)
        target = target.target_field
    if isinstance(target, models.UUIDField):
        return (attrgetter("hex"), UUID)
    if isinstance(target, models.DateTimeField):
        return (_time, datetime.fromisoformat)
    if isinstance(target, models.CharField | models.TextField | models.JSONField):
        return (without_nul, _itself)  # SQLite may hold some from before this was seen to
    return (_itself, _itself)


def _itself(value: Any) -> Any:
    return value


def _time(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _is_counting(field: models.Field) -> bool:
    """Whether it is a key that the database makes: ours are UUIDs or names."""
    return field.primary_key and not isinstance(field, models.UUIDField | models.CharField)
