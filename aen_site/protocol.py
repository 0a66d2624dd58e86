"""How the server reads HTTP: as uvicorn does, but for what comes behind a body."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes that may come without being any of a body: a head, what is said of chunks, trailers.
MOST = 64 * 1024


class Protocol(HttpToolsProtocol):
    """Takes no trailers for header fields, and ends a connection on which such things have no end.

    Proxies in front see to ``X-Forwarded-*`` among the header fields, and some pass trailers on.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._no_body = 0  # bytes since the last that were a body's

    def data_received(self, data: bytes) -> None:
        self._no_body += len(data)
        super().data_received(data)
        if self._no_body > MOST and self.transport is not None:
            self.transport.close()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._no_body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._no_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._no_body = 0
        super().on_message_complete()
