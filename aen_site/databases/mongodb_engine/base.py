"""The engine that ``DATABASES`` names on MongoDB: django-mongodb-backend, with its ends mended.

What the backend's 5.2.4 does not bear:

- A connection or a commit that fails raises PyMongo's own error, which is none of Django's, and any
  other operation the same error for a database that is away as for one that refuses: what is away
  raises ``OperationalError`` here, as from every database.
- After a commit that failed, the session stays on the thread's connection, and every transaction
  after it fails, too.
- A commit within one of Django's own blocks, which do nothing here: the Django admin opens one around
  each of its forms, and what waited for the commit is then refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django_mongodb_backend import base
from django_mongodb_backend.utils import OperationDebugWrapper
from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, PyMongoError

#: The server may have committed; asking again is safe, and says so.
_UNKNOWN = "UnknownTransactionCommitResult"
_ASK_AGAIN = 3


_ALONE = (
    "This MongoDB is in no replica set, and without one it has no transactions. One member is enough: "
    "start mongod with --replSet rs0, and run rs.initiate() once in mongosh."
)


class _Collection(Collection[dict[str, Any]]):
    """A collection of which the backend uses these four."""

    def aggregate(self, *args: Any, **kwargs: Any) -> Any:
        with _in_words_of_django(ConnectionFailure):
            return super().aggregate(*args, **kwargs)

    def insert_many(self, *args: Any, **kwargs: Any) -> Any:
        with _in_words_of_django(ConnectionFailure):
            return super().insert_many(*args, **kwargs)

    def update_many(self, *args: Any, **kwargs: Any) -> Any:
        with _in_words_of_django(ConnectionFailure):
            return super().update_many(*args, **kwargs)

    def delete_many(self, *args: Any, **kwargs: Any) -> Any:
        with _in_words_of_django(ConnectionFailure):
            return super().delete_many(*args, **kwargs)


class DatabaseWrapper(base.DatabaseWrapper):
    def get_collection(self, name: str, **kwargs: Any) -> Any:
        collection = _Collection(self.database, name, **kwargs)
        return OperationDebugWrapper(self, collection) if self.queries_logged else collection

    def connect(self) -> None:
        with _in_words_of_django():
            super().connect()

    def start_transaction_mongo(self) -> None:
        """Begin. Raises ``ImproperlyConfigured`` where MongoDB runs without transactions."""
        with _in_words_of_django():
            super().start_transaction_mongo()
        known = self.connection.topology_description.server_descriptions().values()
        if any(server.server_type_name == "Standalone" for server in known):
            self.rollback_mongo()
            raise ImproperlyConfigured(_ALONE)

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
def _in_words_of_django(kind: type[PyMongoError] = PyMongoError) -> Iterator[None]:
    try:
        yield
    except kind as error:
        raise OperationalError(str(error)) from error
