"""The connections to each app: idle ones to use again, open ones counted, bytes noted."""

import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from ..metrics import Traffic
from .errors import AppUnreachable
from .splice import Splice

#: Idle connections kept for an app, and for how many seconds.
MAX_IDLE = 128
IDLE_SECONDS = 30.0
#: Connections open to one app at a time, streams and WebSockets included.
MAX_OPEN = 1024
# An app may close an idle connection at any moment; what can't be repeated takes a fresh one.
FRESH_SECONDS = 0.5

Key = tuple[str, str]


class _App:
    """What there is of one app: idle connections, how many are open, and their bytes."""

    __slots__ = ("idle", "open", "passed", "traffic")

    def __init__(self) -> None:
        self.idle: deque[Splice] = deque()
        self.open = 0
        self.passed = False  # some connection goes past the node's agent, which sees nothing of it
        self.traffic = Traffic()


class Pool:
    """Connections to apps by ``(node, app_id)``: idle ones to use again, open ones counted."""

    def __init__(self) -> None:
        self._apps: dict[Key, _App] = {}
        self._gone = Traffic()  # of apps that have no connection any more
        self._used_last: set[Key] = set()  # of these, apps whose use is still to be told

    def take(self, key: Key, fresh: bool = False) -> Splice | None:
        """Return the idle connection that was used last, if there is one that still stands.

        ``fresh``: only one that was used a moment ago.
        """
        app = self._apps.get(key)
        if app is None or not app.idle:
            return None
        oldest = time.monotonic() - (FRESH_SECONDS if fresh else IDLE_SECONDS)
        while app.idle:
            stream = app.idle.pop()
            if stream.idle_since >= oldest and stream.reusable:
                return stream
            self.discard(key, stream)
        return None

    async def open(self, key: Key, connect: Callable[[str], Awaitable[Splice]]) -> Splice:
        """Return a new connection from ``connect``, which is given the app's id."""
        app = self._apps.setdefault(key, _App())
        if app.open >= MAX_OPEN:
            raise AppUnreachable("Too many connections to this app are open; close some tabs.")
        app.open += 1
        try:
            stream = await connect(key[1])
        except BaseException:
            self._forget(key)
            raise
        stream.traffic = app.traffic
        app.passed = app.passed or stream.passed
        return stream

    def give_back(self, key: Key, stream: Splice) -> None:
        """Keep a connection whose last response was read to its end."""
        idle = self._apps[key].idle
        if not stream.reusable or len(idle) >= MAX_IDLE:
            self.discard(key, stream)
            return
        stream.uses += 1
        stream.idle_since = time.monotonic()
        idle.append(stream)

    def discard(self, key: Key, stream: Splice, *, gently: bool = False) -> None:
        """End a connection that ``open`` or ``take`` returned."""
        if gently:
            stream.close()
        else:
            stream.abort()
        self._forget(key)

    def _forget(self, key: Key) -> None:
        app = self._apps[key]
        app.open -= 1
        if not app.open:
            del self._apps[key]
            self._gone.add(app.traffic)
            if app.passed and app.traffic.moved():
                self._used_last.add(key)

    def sweep(self, max_idle: float = IDLE_SECONDS) -> None:
        """End what has been idle for longer than ``max_idle`` seconds."""
        oldest = time.monotonic() - max_idle
        for key, app in list(self._apps.items()):
            for stream in [one for one in app.idle if one.ended or one.idle_since < oldest]:
                app.idle.remove(stream)
                self.discard(key, stream)

    def end(self) -> None:
        """End all idle connections."""
        self.sweep(max_idle=-1.0)

    @property
    def open_count(self) -> int:
        """Connections to apps, idle ones included."""
        return sum(app.open for app in self._apps.values())

    # --- what went by ----------------------------------------------------------------------------

    def traffic(self) -> Traffic:
        """Return the bytes of all connections since the start."""
        total = Traffic()
        for one in (self._gone, *(app.traffic for app in self._apps.values())):
            total.add(one)
        return total

    def used(self) -> dict[str, list[str]]:
        """Return by node the apps whose bytes its agent did not see, since the last call."""
        found, self._used_last = self._used_last, set()
        found |= {key for key, app in self._apps.items() if app.passed and app.traffic.moved()}
        nodes: defaultdict[str, list[str]] = defaultdict(list)
        for node, app_id in found:
            nodes[node].append(app_id)
        return nodes
