"""What a site needs of its database, on each of the three: SQLite, PostgreSQL and MongoDB.

One set of models, of migrations and of queries serves all three; ``AEN_DATABASE_URL`` chooses.
What differs is here and nowhere else:

``urls``                from the address to Django's settings
``versions``            whether a newer version of AEN has changed the tables
``mongodb``             apps of others whose keys MongoDB makes in a way of its own
``mongodb_migrations``  the migrations of those apps, made once with these keys

What our code may not do, so that it stays true on all three, is held by
``tests/architecture/test_portable_code.py``, each rule with its reason. Transactions are in
``accounts.transactions``.
"""

from .urls import Chosen, chosen, named, refuse_djongo, share_connections
from .versions import newer

__all__ = ["Chosen", "chosen", "named", "newer", "refuse_djongo", "share_connections"]
