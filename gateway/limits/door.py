"""Whether one more connection of a browser is taken."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from .crowd import Crowd
from .host import most_connections
from .limits import Settings

#: Which part of the idle connections is closed at a time, when there are too many in all.
_PART = 20
#: Seconds after a search that found nothing idle until the next.
_SEARCH_SECONDS = 1.0


class Door:
    """Holds connections to their number: of one address, and in all.

    ``connections``: all that are open, each with a ``transport``; those that can be closed without
    harm say since when they are ``idle``. ``trusts`` says of an address whether it is a proxy's.
    """

    def __init__(
        self, settings: Settings, connections: "set[Any]", trusts: Callable[[str], bool]
    ) -> None:
        self._connections = connections
        self._most = settings.connections or most_connections()
        self._crowd = Crowd(settings.address_connections, self._addresses)
        self._trusts = trusts
        self._room = 0
        self._searched = 0.0

    def admits(self, address: str) -> bool:
        """Return whether the connection that just came from ``address`` may stay."""
        return self._has_room() and (self._trusts(address) or self._crowd.admits(address))

    def _has_room(self) -> bool:
        if len(self._connections) <= self._most:
            return True
        if not self._room:
            self._room = self._close_idle()
        if not self._room:
            return False
        self._room -= 1
        return True

    def _close_idle(self) -> int:
        """Close those that are idle for longest; return how many."""
        now = time.monotonic()
        if now - self._searched < _SEARCH_SECONDS:
            return 0
        idle = [(since, one) for one in self._connections if (since := _idle(one)) is not None]
        if not idle:
            self._searched = now
            return 0
        idle.sort(key=lambda pair: pair[0])
        chosen = idle[: max(1, len(idle) // _PART)]
        for _, one in chosen:
            one.transport.close()
        return len(chosen)

    def _addresses(self) -> Iterable[str]:
        for one in self._connections:
            peer = one.transport.get_extra_info("peername") if one.transport else None
            yield peer[0] if isinstance(peer, tuple) else ""


def _idle(connection: Any) -> float | None:
    since: float | None = getattr(connection, "idle", None)
    return None if since is None or connection.transport.is_closing() else since
