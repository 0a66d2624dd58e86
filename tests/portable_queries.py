"""In every test, whatever its database: our code asks nothing that MongoDB does not answer.

``tests/architecture/portable_rules.py`` reads the code; this sees what is really asked, however it came
about. What tests and other people's packages ask by themselves is their own affair.
"""

import functools
import sys
from pathlib import Path
from types import FrameType

from django.db.models import QuerySet

CHECKOUT = Path(__file__).resolve().parents[1]
OURS = ("aen_site", "accounts", "datacenters", "projects")


class NotPortable(AssertionError):
    """Our code asked what one of the databases can't do. No error of Django's: nothing catches it."""


def install() -> None:
    """Have every query set of this process refuse what is not portable."""
    for name, look in {
        "update": _joins,
        "delete": _joins,
        "_raw_delete": _joins,
        "extra": _always,  # a prefetch of a many-to-many relation asks for it, too
        "raw": _always,
        "bulk_create": _conflicts,
        "dates": _always,
        "datetimes": _always,
    }.items():
        setattr(QuerySet, name, _looked_at(name, look))


def _looked_at(name, look):
    real = getattr(QuerySet, name)

    @functools.wraps(real)
    def asked(self, *args, **kwargs):
        if (why := look(self, kwargs)) and (place := _place_of_ours(sys._getframe(1))):
            raise NotPortable(f"{place}: {name} {why}")
        return real(self, *args, **kwargs)

    return asked


def _joins(rows, kwargs):
    """Say what is wrong where an update or delete looks at more than one table."""
    query = rows.query.chain()
    used = [alias for alias, count in query.alias_refcount.items() if count]
    return f"across a join of {', '.join(used)}" if len(used) > 1 else ""


def _always(rows, kwargs):
    return "is not there on MongoDB"


def _conflicts(rows, kwargs):
    asked = kwargs.get("ignore_conflicts") or kwargs.get("update_conflicts")
    return "with conflicts that the database is to see to" if asked else ""


@functools.cache
def _package(file: str) -> str:
    try:
        return Path(file).relative_to(CHECKOUT).parts[0]
    except ValueError:
        return ""


def _place_of_ours(frame: FrameType | None) -> str:
    """Return which line of ours asks, empty if a test does or nobody of us."""
    while frame is not None:
        package = _package(frame.f_code.co_filename)
        if package == "tests":
            return ""
        if package in OURS:
            return f"{Path(frame.f_code.co_filename).relative_to(CHECKOUT)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
