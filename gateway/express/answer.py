"""An app's answer on its way to the browser: what goes out for each piece that comes in."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from websockets.utils import accept_key

from ..forwarding import chunk, header, serialize_head
from ..upstream import AppResponse, AppUnreachable, plain_head
from .head import SWITCH, Head

#: The first line of an answer by its status.
FIRST_LINE = {status: line.rstrip() for status, line in STATUS_LINE.items()}


class Answer:
    """One answer, in pieces. ``status`` is 0 until its head goes out."""

    __slots__ = ("_coded", "_head", "_prefix", "_response", "_strip", "status")

    def __init__(self, head: Head, prefix: bytes, strip: bytes) -> None:
        """``head`` is the request's; ``prefix`` and ``strip`` as for ``forwarding.to_client``."""
        self._head = head
        self._prefix = prefix
        self._strip = strip
        self._response = AppResponse(head.method.encode(), upgrade=bool(head.fields.websocket))
        self._coded = False  # it goes out in chunks
        self.status = 0

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """Take what came; return what the browser is sent for it.

        ``last``: its connection ends with this answer. Raises ``AppUnreachable`` or ``BadRequest``
        if what came cannot be passed on.
        """
        response = self._response
        response.feed(data)
        ahead = self._interim() if response.interim else b""
        return ahead + self._out(last) if response.started else ahead

    def end(self, *, last: bool) -> bytes:
        """Take the end of the app's connection; as ``feed``."""
        self._response.feed_eof()
        return self._out(last)

    def _out(self, last: bool) -> bytes:
        response = self._response
        head = b"" if self.status else self._begin(last)
        body = response.take()
        return head + (chunk(body, last=response.complete) if self._coded else body)

    def _begin(self, last: bool) -> bytes:
        response = self._response
        fields = [*response.to_client(self._prefix, self._strip)]
        if response.status == 101:
            if not self._is_agreed():
                raise AppUnreachable("The app’s answer to the WebSocket is not valid.")
            fields += SWITCH
        elif not header(fields, b"content-length"):
            self._coded = self._head.method != "HEAD" and response.status not in (204, 304)
            if self._coded:
                fields.append((b"transfer-encoding", b"chunked"))
        if last:
            fields.append((b"connection", b"close"))
        head = serialize_head(FIRST_LINE[response.status], fields)
        self.status = response.status
        return head

    def _interim(self) -> bytes:
        """Return what the app says ahead of its answer. Who comes this way speaks HTTP/1.1.

        Not for proxies: NGINX before 1.29 takes a 103 for the answer itself, and waits for its end.
        """
        found = self._response.take_interim(self._prefix, self._strip)
        if any(self._head.fields.sent.said):
            return b""
        return b"".join([serialize_head(FIRST_LINE[status], fields) for status, fields in found])

    def _is_agreed(self) -> bool:
        agreed = header(self._response.headers, b"sec-websocket-accept")
        wanted = accept_key(self._head.fields.websocket.decode()).encode()
        return self._response.switched and agreed == wanted

    @property
    def complete(self) -> bool:
        return self._response.complete

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the app's connection."""
        return self._response.keep_alive

    @property
    def switched(self) -> bool:
        """Whether both ends have agreed on a WebSocket."""
        return self._response.switched

    @property
    def rest(self) -> bytes:
        """What came behind the agreement on a WebSocket."""
        return self._response.rest


def whole_answer(data: bytes, prefix: bytes, strip: bytes) -> tuple[int, bytes, bool] | None:
    """Return status, what goes out, and whether the app's connection can be used again.

    ``None`` if ``data`` is not one plain answer that came all at once, as most do. Not for what is
    answered without a body, or by another protocol: ``HEAD`` and WebSockets.
    """
    plain = plain_head(data)
    if plain is None or len(data) != plain.size + plain.length:
        return None
    head = plain.as_sent(FIRST_LINE[plain.status], prefix, strip)
    return plain.status, head + data[plain.size :], plain.keep_alive
