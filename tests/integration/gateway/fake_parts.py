"""What the fakes share: a loop in a thread, uvicorn on it, short answers, waiting."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvicorn

GATEWAY_ID = "0" * 31 + "1"
NODE_ID = "0" * 31 + "2"
ROOT = Path(__file__).parents[3]


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> object:
    """Return the first true value of ``condition``; fails after the deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not come to pass in time")


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


class LoopThread:
    """An event loop in a thread, on which the fakes live."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Served:
    """An ASGI application under uvicorn on the fakes' loop."""

    def __init__(self, app, **where) -> None:
        self._config = uvicorn.Config(
            app, log_config=None, lifespan="off", ws="websockets-sansio", ws_max_size=2**30,
            timeout_graceful_shutdown=0, timeout_keep_alive=30, **where,
        )  # fmt: skip
        self._server = _Uvicorn(self._config)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


async def read_body(receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def reply(send, status, content) -> None:
    body = msgspec.json.encode(content)
    fields = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    await begin_answer(send, status, fields)
    await send_chunk(send, body, last=True)


async def reject(send) -> None:
    await send({"type": "websocket.close", "code": 4401})


async def begin_answer(send, status, headers) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_chunk(send, body, *, last=False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})
