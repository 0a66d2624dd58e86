"""After connects and disconnects at random nothing is left of them in the gateway.

``make bench ARGS=soak`` does the same for ten minutes and reads the memory, too.
"""

import asyncio

import pytest

from tests.bench.gateway_soak import NO_LIMITS, Way, settle, soak

pytestmark = pytest.mark.row(11)


def test_no_file_no_task_and_no_connection_stays_behind(own_site):
    site = own_site(limits=NO_LIMITS)
    other = site.another_gateway(express=False, limits=NO_LIMITS)
    try:
        ways = [Way("express", site.gateway), Way("consumers", other)]
        done, _ = asyncio.run(soak(site, ways, seconds=8, people=20, seed=7))
        assert settle(ways) == {}
        assert set(done) >= {"load", "cut_upload", "cut_download", "drop_socket", "revoke"}
    finally:
        other.stop()
