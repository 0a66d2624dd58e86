"""The fakes that the gateway's tests use, and sites with each of the gateway's ways."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "integration/gateway")]

from fake_haproxy import ABSENT  # noqa: E402
from gateway_fakes import Site  # noqa: E402
from transcript import Conversation  # noqa: E402


@pytest.fixture(scope="module", params=["express", "consumers", "haproxy"])
def site(request):
    """A site whose gateway serves sessions already granted in this way."""
    if request.param == "haproxy" and ABSENT:
        pytest.skip(ABSENT)
    running = Site(express=request.param != "consumers", haproxy=request.param == "haproxy")
    running.start()
    running.way = request.param
    yield running
    running.stop()


@pytest.fixture
def talk(site):
    """A person's browser and their app, with the gateway between them; both are the test's."""
    conversation = Conversation(site)
    yield conversation
    conversation.end()
