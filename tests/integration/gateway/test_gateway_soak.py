"""After connects and disconnects at random nothing is left of them in the gateway.

``make bench ARGS=soak`` does the same for ten minutes and reads the memory, too.
"""

import asyncio

import pytest

from tests.bench.gateway_soak import all_ways, settle, soak

pytestmark = pytest.mark.row(11)


def test_no_file_no_task_and_no_connection_stays_behind():
    with all_ways() as (site, ways):
        site.server.ttl = 2.0  # what HAProxy was told of is held as long
        done, _ = asyncio.run(soak(site, ways, seconds=8, people=20, seed=7))
        assert settle(ways) == {}
        assert set(done) >= {"load", "cut_upload", "cut_download", "drop_socket", "revoke"}
