"""When apps were last used: what counts as a sign of it.

Processor time does for every app, and bytes on its connections for most. A page of Jupyter that is
merely open goes on asking its server, so that server is asked for its kernels and terminals.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from compute_agent import upstream
from compute_agent.appdir import socket_path
from compute_agent.catalog import Catalog
from compute_agent.launch import headers
from compute_agent.protocol import Launch
from compute_agent.record import Record

#: From this many processors on, an app does something; one that only waits needs far less.
BUSY = 0.05
#: Seconds between two questions to the same app.
_ASK_EVERY = 60.0
_PATIENCE = 10.0
_AT_ONCE = 8
#: The environment whose apps are servers of Jupyter.
_JUPYTER = "jupyter"


class _Thing(Struct):
    """A kernel or a terminal, as the server lists it."""

    execution_state: str = ""
    last_activity: datetime | None = None


_things: msgspec.json.Decoder[list[_Thing]] = msgspec.json.Decoder(list[_Thing])
_NO_ANSWER = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, msgspec.MsgspecError)


class Activity:
    """Notes the signs of use of a node's apps."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def note(self, app: Record, processors: float | None) -> None:
        """Note what can be seen from outside. ``processors``: what it used of late."""
        if app.state != "running":
            return
        moved = app.traffic.take() and not self._is_jupyter(app)
        if moved or app.active_at is None or (processors or 0.0) >= BUSY:
            app.note_active(time.time())

    def is_due(self, app: Record) -> bool:
        """Say whether the app is to be asked now."""
        waits = app.state == "running" and time.monotonic() >= app.ask_at
        return waits and self._is_jupyter(app)

    async def ask(self, app: Record) -> None:
        """Ask a server of Jupyter. One that does not answer may be at work: it counts as used."""
        app.ask_at = math.inf
        async with self._turns:
            try:
                async with asyncio.timeout(_PATIENCE):
                    last = await self._last_use(app)
            except _NO_ANSWER:
                last = time.time()
        if last is not None:
            app.note_active(last)
        app.ask_at = time.monotonic() + _ASK_EVERY

    def _is_jupyter(self, app: Record) -> bool:
        descriptor = app.launch and self._catalog.apps.get(app.launch.app)
        return bool(descriptor and descriptor.template == _JUPYTER)

    async def _last_use(self, app: Record) -> float | None:
        """Return when a kernel or terminal was last at work, ``None`` where there is none."""
        assert app.launch is not None
        kernels = await self._listed(app, app.launch, "kernels")
        terminals = await self._listed(app, app.launch, "terminals")
        return max(_times([*kernels, *terminals], time.time()), default=None)

    async def _listed(self, app: Record, launch: Launch, what: str) -> list[_Thing]:
        """Return a list of the server's, empty where it has none of the kind."""
        status, body = await upstream.get(
            socket_path(app.directory),
            app.uid,
            f"{launch.url_prefix}api/{what}?no_track_activity=1",
            headers(self._catalog.apps[launch.app], app.token),
        )
        if status == 404:
            return []
        if status != 200:
            raise ValueError(f"it answers {status}")
        return _things.decode(body)


def _times(things: list[_Thing], now: float) -> Iterator[float]:
    """Yield when each was used, in Unix time, and never later than now."""
    for thing in things:
        if thing.execution_state == "busy":
            yield now
        elif (at := thing.last_activity) is not None:
            yield min(now, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
