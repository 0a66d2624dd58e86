"""HAProxy's runtime socket: commands in, answers out, one connection to each of its processes."""

import asyncio
from collections import deque
from typing import cast

_PROMPT = b"\n> "
#: Seconds an answer may take.
PATIENCE = 10.0


class Runtime(asyncio.Protocol):
    """One connection to one HAProxy process, for as long as that lives."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self.closed = False

    @classmethod
    async def connect(cls, path: str) -> "Runtime":
        """Return a connection; raises ``OSError`` or ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(PATIENCE):
            _, runtime = await loop.create_unix_connection(cls, path)
            try:
                await runtime.ask(b"prompt")
                await runtime.ask(b"set timeout cli 1d")
            except BaseException:
                runtime.close()
                raise
        return runtime

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(_PROMPT)) >= 0:
            answer = bytes(self._data[:end])
            del self._data[: end + len(_PROMPT)]
            waiting = self._waiting.popleft() if self._waiting else None
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("HAProxy ended the connection."))
        self._waiting.clear()

    def say(self, command: bytes) -> "asyncio.Future[bytes]":
        """Send a command of one line; the future gets its answer. They are done in their order."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.closed or self._transport is None:
            answer.set_exception(ConnectionResetError("HAProxy is gone."))
        else:
            self._transport.write(command + b"\n")
            self._waiting.append(answer)
        answer.add_done_callback(_seen)
        return answer

    async def ask(self, command: bytes) -> str:
        """Return the answer to a command; raises ``OSError`` or ``TimeoutError``."""
        async with asyncio.timeout(PATIENCE):
            return (await self.say(command)).decode("latin-1").strip()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _seen(answer: "asyncio.Future[bytes]") -> None:
    if not answer.cancelled():
        answer.exception()  # who did not wait for it need not hear of it
