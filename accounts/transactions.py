"""The one way in which AEN opens a transaction, on every database.

SQLite and PostgreSQL let a transaction wait for what another one holds. MongoDB does not: the later
of two that write one document fails at once, and is expected to begin anew, as is on PostgreSQL one of
two that wait for each other. So a function that opens
a transaction is ``@retried``: it may be called again from its start, and has done nothing then. What it
does elsewhere than in the database waits for ``after_commit``.
"""

import functools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Model


class Contended(OperationalError):
    """What was to be written stays another transaction's, for instance that of a server that was killed.

    MongoDB keeps such a one for up to a minute.
    """


#: The errors of a database that is away, or too busy to answer. It may be back in a moment.
AWAY = (OperationalError, InterfaceError)

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Longest pauses before the next tries, in seconds: by the last one, whoever was faster is done.
_PAUSES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
#: How MongoDB marks an error after which the same may well succeed.
_TRANSIENT = "TransientTransactionError"
#: PostgreSQL's codes of the same: two waited for each other, or could not both have been alone.
_UNDONE = ("40P01", "40001")


def atomic() -> AbstractContextManager[object]:
    """All or nothing, without savepoints: an inner block joins the outer one.

    Errors must leave the block: after one, MongoDB and PostgreSQL refuse whatever follows in it.
    """
    if connection.vendor == "mongodb":
        from django_mongodb_backend import transaction as mongodb

        return mongodb.atomic()  # Django's own does nothing there
    return transaction.atomic(savepoint=False)


def retried(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Call a function again when another's write in the same moment undid its transaction.

    Raises ``Contended`` when that goes on for longer than two changes take.
    The rows it was given are as they were, each time. Within a transaction that is open already the
    error goes up to the function that opened it.
    """

    @functools.wraps(function)
    def until_done(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if _is_open():
            return function(*args, **kwargs)
        for longest in _PAUSES:
            kept = [(row, row.__getstate__()) for row in _rows(args, kwargs)]
            try:
                return function(*args, **kwargs)
            except DatabaseError as error:
                if not _may_succeed_later(error):
                    raise
            for row, state in kept:
                row.__dict__.clear()
                row.__dict__.update(state)
            time.sleep(random.uniform(0, longest))  # noqa: S311 (spreads those who collided)
        try:
            return function(*args, **kwargs)
        except DatabaseError as error:
            if not _may_succeed_later(error):
                raise
            raise Contended("another change holds what this one writes") from error

    return until_done


def _is_open() -> bool:
    if connection.vendor == "mongodb":
        return connection.in_atomic_block_mongo  # Django's own blocks are none there
    return connection.in_atomic_block


def _rows(args: tuple[object, ...], kwargs: dict[str, object]) -> list[Model]:
    return [given for given in (*args, *kwargs.values()) if isinstance(given, Model)]


def _may_succeed_later(error: DatabaseError) -> bool:
    if getattr(error.__cause__, "sqlstate", None) in _UNDONE:
        return True
    labelled = getattr(error.__cause__, "has_error_label", None)
    return not isinstance(error, AWAY) and labelled is not None and labelled(_TRANSIENT)


def after_commit(action: Callable[[], object]) -> None:
    """Run ``action`` once the change it announces can be seen by others."""
    transaction.on_commit(action)


@contextmanager
def replaceable() -> Iterator[None]:
    """Write what would come again: SQLite does not wait for the disk then.

    A machine that loses its power may lose the last of it; a process that is killed loses nothing.
    """
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        yield
        return
    connection.ensure_connection()
    _wait_for_the_disk("NORMAL")
    try:
        yield
    finally:
        _wait_for_the_disk("FULL")


def _wait_for_the_disk(level: str) -> None:
    if connection.connection is not None:  # not after an error that closed it
        connection.connection.execute(f"PRAGMA synchronous={level}")


@contextmanager
def one_moment() -> Iterator[None]:
    """Read all of the database as it is now, while others go on writing.

    Not on MongoDB, which ends after a minute what sees one moment: there it is as good as no block.
    """
    if connection.vendor == "mongodb":
        yield
        return
    connection.ensure_connection()
    usual = getattr(connection, "transaction_mode", None)
    if connection.vendor == "sqlite":
        connection.transaction_mode = "DEFERRED"  # the usual one waits for the lock to write
    try:
        with transaction.atomic():
            if connection.vendor == "postgresql":
                connection.cursor().execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield
    finally:
        if connection.vendor == "sqlite":
            connection.transaction_mode = usual


@contextmanager
def filling(undo: Callable[[], None]) -> Iterator[None]:
    """Write a whole site, or nothing of it; on MongoDB, for the same reason, in parts.

    There ``undo`` takes back what was written before an error, but not what a killed process wrote.
    """
    if connection.vendor != "mongodb":
        with atomic():
            yield
        return
    try:
        yield
    except BaseException:
        undo()
        raise
