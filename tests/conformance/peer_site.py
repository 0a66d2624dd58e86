"""Another proxy where the gateway would be, as far as transcripts need a site."""

import os
import uuid
from pathlib import Path
from types import SimpleNamespace

import gateway_peers

from tests.waiting import free_port

PEERS = {"chp": gateway_peers.chp, "nginx": gateway_peers.nginx}


class PeerSite:
    """``way`` names the peer. Each app has a new one in front, so that no test meets another's.

    Raises ``gateway_peers.Absent`` if it cannot be had.
    """

    is_peer = True
    haproxy = None

    def __init__(self, way: str) -> None:
        self.way = way
        self._peer = PEERS[way](free_port())

    @property
    def port(self) -> int:
        return self._peer.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open_socket(self) -> SimpleNamespace:
        """Return an app, to listen at ``port``, with the peer in front."""
        self.stop()
        port = free_port()
        self._peer = PEERS[self.way](port)
        owner = "p" + uuid.uuid4().hex[:12]
        return SimpleNamespace(port=port, prefix=f"/{owner}/study/lab/", session="nobodys")

    def granted(self, opened: SimpleNamespace) -> SimpleNamespace:
        return opened  # to whoever asks

    def resident(self) -> int:
        """Return the memory of the process that does the work, in bytes."""
        pages = int(Path(f"/proc/{self._peer.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        if self._peer is not None:
            self._peer.stop()
            self._peer = None
