"""For how long a certificate is good, asked of whoever shows it."""

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from aen_site import certificates


@pytest.fixture
def shown():
    """Show a certificate that ends after so many days; return its port and a context that knows it."""
    with contextlib.ExitStack() as left:
        yield lambda days: _show(days, left)


def _show(days, left):
    ca, ours = trustme.CA(), ssl.create_default_context()
    ca.configure_trust(ours)
    ends = datetime.now(UTC) + timedelta(days=days)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost", not_after=ends).configure_cert(theirs)
    listener = left.enter_context(socket.create_server(("127.0.0.1", 0)))

    def answer():
        with contextlib.suppress(OSError):
            accepted, _ = listener.accept()
            theirs.wrap_socket(accepted, server_side=True).close()

    thread = threading.Thread(target=answer)
    thread.start()
    left.callback(thread.join, 10)
    return listener.getsockname()[1], ours


def test_the_days_that_are_left_are_told(shown):
    port, context = shown(7)
    assert 6 < certificates.days_left("localhost", port, context=context) <= 7


def test_one_that_has_expired_is_told_apart(shown):
    port, context = shown(-1)
    with pytest.raises(certificates.Expired):
        certificates.days_left("localhost", port, context=context)


def test_nothing_is_said_of_an_authority_that_is_not_known_here(shown):
    port, _ = shown(7)
    assert certificates.days_left("localhost", port) is None


def test_nothing_is_said_where_nobody_is_reached():
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        assert certificates.days_left("127.0.0.1", port) is None
