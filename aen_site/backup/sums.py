"""Counting rows and summing them up, so that two databases can be compared by one line."""

import hashlib
import json
from collections import Counter
from typing import Any

from .rows import Plain, Table

#: Times are compared to the millisecond, which every database keeps: ``…:05.123456+00:00``.
_MILLISECONDS = len("2026-01-01T00:00:00.000")


class Sums:
    """Counts by table, and one digest of all rows, whichever order they come in."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._sum = 0

    def add(self, table: Table, row: Plain) -> None:
        plain = [*map(_same_everywhere, row)]
        for index in table.times:
            plain[index] = plain[index] and plain[index][:_MILLISECONDS]
        line = json.dumps([table.label, *plain], sort_keys=True, separators=(",", ":"))
        self._sum += int.from_bytes(hashlib.sha256(line.encode()).digest())
        self.counts[table.label] += 1

    @property
    def digest(self) -> str:
        """64 hex digits. It tells rows apart, and is no proof against somebody who made them up."""
        return f"{self._sum % 2**256:064x}"

    def as_json(self) -> dict[str, Any]:
        return {"counts": dict(self.counts), "digest": self.digest}


def _same_everywhere(value: Any) -> Any:
    """Databases return a number that is whole as either kind."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_same_everywhere(item) for item in value]
    if isinstance(value, dict):
        return {key: _same_everywhere(item) for key, item in value.items()}
    return value
