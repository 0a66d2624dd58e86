"""A page without its database."""

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.test import Client

from accounts import actions as accounts
from datacenters import gateways


@pytest.mark.parametrize("path", ["/", "/api/v1/projects"])
def test_it_waits_for_the_database_once_and_then_says_so(path, cast, monkeypatch):
    _, secret = accounts.create_token(cast.mira, "t", ["api"], by=cast.mira)
    by = {} if path == "/" else {"Authorization": f"Bearer {secret}"}
    client = Client(headers=by, raise_request_exception=False)
    client.cookies["aen_session"] = "s" * 32
    waits = []

    def away(self, *args):
        waits.append(args)
        raise OperationalError("couldn't get a connection after 3.00 sec")

    with monkeypatch.context() as there:
        there.setattr(CursorWrapper, "execute", away)
        there.setattr(gateways, "_known", (-1.0, []))
        assert client.get(path).status_code == 503
    assert len(waits) == 1
