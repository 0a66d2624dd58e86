"""How many connections each address has open, counted only where it may matter.

Of IPv6, whose clients have 2^64 addresses each, a /64 network counts as one.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import ip_address

#: Seconds between two counts of what is open. Counting looks at every connection there is.
COUNT_SECONDS = 1.0


class Crowd:
    """Connections by address. Those that come are counted, those that go when it matters.

    ``most``: of one address, 0 for any number. ``everyone`` returns the address of each that is
    open.
    """

    def __init__(
        self,
        most: int,
        everyone: Callable[[], Iterable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._everyone = everyone
        self._clock = clock
        self._came: Counter[str] = Counter()
        self._counted = clock()

    def admits(self, address: str) -> bool:
        """Count one more connection of ``address``; return whether it may have it."""
        if not self._most or not address or is_here(address):
            return True
        client = neighbourhood(address)
        self._came[client] += 1
        if self._came[client] <= self._most and len(self._came) < 10_000:
            return True
        self._recount()
        return self._came[client] <= self._most

    def _recount(self) -> None:
        now = self._clock()
        if now - self._counted >= COUNT_SECONDS:
            self._counted = now
            self._came = Counter(map(neighbourhood, self._everyone()))


def is_here(address: str) -> bool:
    """Return whether ``address`` is this host's own: a proxy before us, which speaks for many."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return True  # a Unix socket


def neighbourhood(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if found.version == 6 and found.ipv4_mapped is None:
        return str(int(found) >> 64)
    return address
