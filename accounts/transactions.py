"""The one way in which AEN opens a transaction."""

from collections.abc import Callable

from django.db import transaction


def atomic() -> transaction.Atomic:
    """All or nothing, without savepoints: an inner block joins the outer one."""
    return transaction.atomic(savepoint=False)


def after_commit(action: Callable[[], object]) -> None:
    """Run ``action`` once the change it announces can be seen by others."""
    transaction.on_commit(action)
