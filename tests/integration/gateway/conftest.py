"""A gateway with a fake server and a fake node around it."""

import pytest
from gateway_fakes import Site


@pytest.fixture(scope="module", params=["express", "consumers"])
def site(request):
    """A site that the tests of a module share; each takes an app of its own.

    Sessions already granted take the express way in one, and the consumers' in the other.
    """
    running = Site(express=request.param == "express").start()
    yield running
    running.stop()


@pytest.fixture
def own_site():
    """A site for one test, which may break it; call it with further keys of gateway.json."""
    made = []

    def make(**config) -> Site:
        made.append(Site(**config))  # before it starts: one that fails to must be stopped, too
        return made[-1].start()

    yield make
    for one in made:
        one.stop()
