"""What a site needs of its database, on each of the three: SQLite, PostgreSQL and MongoDB.

One set of models, of migrations and of queries serves all three; ``AEN_DATABASE_URL`` chooses.
What differs is here and nowhere else:

``urls``                from the address to Django's settings
``mongodb``             apps of others whose keys MongoDB makes in a way of its own
``mongodb_migrations``  the migrations of those apps, made once with these keys

What our code may not do, so that it stays true on all three, is held by
``tests/architecture/test_portable_code.py``, each rule with its reason. Transactions are in
``accounts.transactions``.
"""

from .urls import Chosen, chosen, refuse_djongo, share_connections

__all__ = ["Chosen", "chosen", "refuse_djongo", "share_connections"]
