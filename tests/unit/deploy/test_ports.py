"""Whether a port is free, and who has it."""

import os
import socket

import pytest

from deploy import ports
from deploy.say import Problem


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_refused_with_its_holder_and_the_variable(taken):
    with pytest.raises(Problem) as found:
        ports.require("127.0.0.1", {"AEN_SERVER_PORT": taken})
    assert str(taken) in found.value.title
    assert f"Process {os.getpid()}" in found.value.cause
    assert "AEN_SERVER_PORT" in found.value.mend


def test_a_port_that_was_given_back_is_free(taken):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    ports.require("127.0.0.1", {"AEN_SERVER_PORT": port})


def test_an_address_of_another_machine_is_refused():
    assert ports.in_use("192.0.2.1", 8000)
