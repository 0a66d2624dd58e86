"""A gateway with a fake server and a fake node around it."""

import pytest
from gateway_fakes import Site


@pytest.fixture(scope="module")
def site():
    """A site that the tests of a module share; each takes an app of its own."""
    running = Site().start()
    yield running
    running.stop()


@pytest.fixture
def own_site():
    """A site for one test, which may break it; call it with further keys of gateway.json."""
    made = []

    def make(**config) -> Site:
        made.append(Site(**config).start())
        return made[-1]

    yield make
    for one in made:
        one.stop()
