"""An app, as an ASGI application."""

import asyncio
import re
import threading
from types import SimpleNamespace

from fake_parts import begin_answer, read_body, reply, send_chunk


class App:
    """An app with one address for each behaviour; ``seen`` is what it was sent."""

    def __init__(self) -> None:
        self.seen: list[SimpleNamespace] = []
        self.gate = asyncio.Event()
        self.first_bytes = threading.Event()
        self.cancelled = threading.Event()
        self.flooded = 0
        self.closed: list[int] = []
        self.messages = 0

    async def __call__(self, scope, receive, send) -> None:
        *_, name = scope["raw_path"].decode().split("/", 4)  # the prefix may be cut off
        name = re.split("[/?]", name)[0] or "index"
        self.seen.append(
            SimpleNamespace(
                type=scope["type"],
                method=scope.get("method"),
                target=scope["raw_path"],
                query=scope["query_string"],
                headers=[(key.decode("latin-1"), value.decode("latin-1"))
                         for key, value in scope["headers"]],
            )
        )  # fmt: skip
        if scope["type"] == "websocket":
            await self._websocket(name, scope, receive, send)
        else:
            await getattr(self, f"on_{name}", self.on_index)(scope, receive, send)

    async def on_index(self, scope, receive, send) -> None:
        await reply(send, 200, {"path": scope["path"]})

    async def on_echo(self, scope, receive, send) -> None:
        body = await read_body(receive)
        await reply(send, 200, {"length": len(body), "head": body[:100].decode("latin-1")})

    async def on_gated(self, scope, receive, send) -> None:
        await begin_answer(send, 200, [(b"content-type", b"text/event-stream")])
        await send_chunk(send, b"data: one\n\n")
        await self.gate.wait()
        await send_chunk(send, b"data: two\n\n", last=True)

    async def on_upload(self, scope, receive, send) -> None:
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.cancelled.set()
                return
            length += len(message.get("body", b""))
            self.first_bytes.set()
            if not message.get("more_body"):
                break
        await reply(send, 200, {"length": length})

    async def on_flood(self, scope, receive, send) -> None:
        await begin_answer(send, 200, [])
        watcher = asyncio.create_task(self._note_disconnect(receive))
        while not self.cancelled.is_set():
            await send_chunk(send, b"x" * 65536)
            self.flooded += 65536
            await asyncio.sleep(0)
        await watcher

    async def on_many(self, scope, receive, send) -> None:
        await begin_answer(send, 200, [])
        for number in range(40):
            await send_chunk(send, b"x" * 65536, last=number == 39)

    async def on_hang(self, scope, receive, send) -> None:
        self.first_bytes.set()
        await self._note_disconnect(receive)

    async def _note_disconnect(self, receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cancelled.set()

    async def on_redirect(self, scope, receive, send) -> None:
        await begin_answer(send, 302, [(b"location", b"http://169.254.169.254/latest")])
        await send_chunk(send, b"", last=True)

    async def on_moved(self, scope, receive, send) -> None:
        await begin_answer(send, 302, [(b"location", b"/next?a=1")])
        await send_chunk(send, b"", last=True)

    async def on_cookies(self, scope, receive, send) -> None:
        cookies = [b"aen_gateway=stolen; Path=/", b"__Host-aen_gateway=x; Path=/; Secure",
                   b"=aen_gateway=y", b"theme=dark; Domain=example.com; Path=/", b"mode=1"]  # fmt: skip
        await begin_answer(send, 200, [(b"set-cookie", cookie) for cookie in cookies])
        await send_chunk(send, b"ok", last=True)

    async def on_cut(self, scope, receive, send) -> None:
        await begin_answer(send, 200, [(b"content-length", b"1000")])
        await send_chunk(send, b"x" * 10)

    async def on_nothing(self, scope, receive, send) -> None:
        await begin_answer(send, 304, [(b"etag", b'"a"'), (b"content-length", b"10")])
        await send_chunk(send, b"", last=True)

    async def _websocket(self, name, scope, receive, send) -> None:
        await receive()
        if name == "refused":
            await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"the app says no"})
            return
        offered = scope["subprotocols"]
        await send(
            {
                "type": "websocket.accept",
                "subprotocol": offered[-1] if offered else None,
                "headers": [(b"set-cookie", b"ws=1; Path=/"), (b"set-cookie", b"aen_x=1")],
            }
        )
        if name == "flood":
            while True:
                await send({"type": "websocket.send", "bytes": b"x" * 65536})
                self.flooded += 65536
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self.closed.append(message["code"])
                return
            self.messages += 1
            text = message.get("text")
            if text is not None and text.startswith("close "):
                code, _, reason = text.removeprefix("close ").partition(" ")
                await send({"type": "websocket.close", "code": int(code), "reason": reason})
                return
            data = b"x" * 100_001 if text == "large" else message.get("bytes")
            text = None if text == "large" else text
            await send({"type": "websocket.send", "text": text, "bytes": data})
