"""The engine that ``DATABASES`` names on MongoDB: django-mongodb-backend, with its ends mended.

What the backend's 5.2.4 does not bear:

- A connection or a commit that fails raises PyMongo's own error, which is none of Django's: whoever
  catches ``DatabaseError`` would not notice that the database is away.
- After a commit that failed, the session stays on the thread's connection, and every transaction
  after it fails, too.
- A commit within one of Django's own blocks, which do nothing here: the Django admin opens one around
  each of its forms, and what waited for the commit is then refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError
from django_mongodb_backend import base
from pymongo.errors import PyMongoError

#: The server may have committed; asking again is safe, and says so.
_UNKNOWN = "UnknownTransactionCommitResult"
_ASK_AGAIN = 3


class DatabaseWrapper(base.DatabaseWrapper):
    def connect(self) -> None:
        with _in_words_of_django():
            super().connect()

    def start_transaction_mongo(self) -> None:
        with _in_words_of_django():
            super().start_transaction_mongo()

    def commit_mongo(self) -> None:
        """Commit, then run what waited for it. Raises ``DatabaseError`` if it was not committed."""
        with self._ended_session(), _in_words_of_django():
            self._commit_session()
        self.run_and_clear_commit_hooks()

    def _commit_session(self) -> None:
        for again in range(_ASK_AGAIN, -1, -1):
            try:
                return self.session.commit_transaction()
            except PyMongoError as error:
                if not again or not error.has_error_label(_UNKNOWN):
                    raise

    def rollback_mongo(self) -> None:
        self.run_on_commit = []
        with self._ended_session(), _in_words_of_django():
            if self.session and self.session.in_transaction:
                self.session.abort_transaction()

    def validate_no_atomic_block(self) -> None:
        """Forbid nothing within Django's own blocks."""

    @contextmanager
    def _ended_session(self) -> Iterator[None]:
        try:
            yield
        finally:
            if self.session:
                self._end_session()


@contextmanager
def _in_words_of_django() -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise OperationalError(str(error)) from error
