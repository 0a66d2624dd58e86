"""The fakes that the gateway's tests use, and sites with each of the gateway's ways."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration/gateway"), str(HERE.parent / "bench")]

import comparison  # noqa: E402
from fake_haproxy import ABSENT  # noqa: E402
from gateway_fakes import Site  # noqa: E402
from gateway_peers import Absent  # noqa: E402
from peer_site import PEERS, PeerSite  # noqa: E402
from transcript import Conversation  # noqa: E402

OWN = ("express", "consumers", "haproxy")


def pytest_generate_tests(metafunc):
    """Each test runs on the gateway's ways, and those that a peer can be asked on the peers."""
    if "site" not in metafunc.fixturenames:
        return
    wanted = metafunc.config.getoption("--peers")
    mark = next(metafunc.definition.iter_markers("ours"), None)
    peers = [_peer(name, mark) for name in wanted.split(",") if name]
    metafunc.parametrize("site", [*OWN, *peers], indirect=True, scope="module")


def _peer(name, ours):
    if name not in PEERS:
        raise pytest.UsageError(f"--peers knows {', '.join(PEERS)}, not {name}")
    if ours is not None:
        return pytest.param(name, marks=pytest.mark.skip(comparison.LEFT_OUT + ours.args[0]))
    # What a peer does otherwise is a finding, and no failure of ours.
    return pytest.param(name, marks=pytest.mark.xfail(reason="does otherwise", strict=False))


def pytest_itemcollected(item):
    """Note what the comparison's table counts, also for tests that never begin."""
    way = getattr(item, "callspec", None) and item.callspec.params.get("site")
    if way:
        item.user_properties += [("way", way), ("area", comparison.area(item))]


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--peers"):
        comparison.show(terminalreporter)


@pytest.fixture(scope="module")
def site(request):
    """A site whose gateway serves sessions already granted in this way, or a peer's."""
    if request.param in PEERS:
        yield from _peers_site(request.param)
        return
    if request.param == "haproxy" and ABSENT:
        pytest.skip(ABSENT)
    running = Site(express=request.param != "consumers", haproxy=request.param == "haproxy")
    running.start()
    running.way, running.is_peer = request.param, False
    yield running
    running.stop()


def _peers_site(name):
    try:
        running = PeerSite(name)
    except Absent as reason:
        pytest.skip(f"{name}: {reason}")
    yield running
    running.stop()


@pytest.fixture
def talk(site):
    """A person's browser and their app, with the gateway between them; both are the test's."""
    conversation = Conversation(site)
    yield conversation
    conversation.end()
