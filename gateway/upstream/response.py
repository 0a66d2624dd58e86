"""Reading one response of an app."""

import httptools

from ..forwarding import Headers, header, to_client
from .errors import AppUnreachable
from .plain import PlainHead, plain_head

#: Bytes read of an answer, interim ones included, until its head is whole.
MAX_HEAD = 512 * 1024


class AppResponse:
    """Parser of one response; feed it what the app sends until ``complete``.

    With ``upgrade`` the response may be 101: then it is ``switched``, and ``rest`` is what came
    behind it.
    """

    __slots__ = (
        "_continued", "_delimited", "_extra", "_head_only", "_keep_alive", "_left", "_parser", "_room",
        "_upgrade", "chunks", "complete", "headers", "interim", "plain", "rest", "started", "status",
        "switched", "touched",
    )  # fmt: skip

    def __init__(self, method: bytes, *, upgrade: bool = False) -> None:
        self._parser: httptools.HttpResponseParser | None = None
        self._head_only = method == b"HEAD"
        self._upgrade = upgrade
        self._continued = False
        self._delimited = False
        self._room = MAX_HEAD
        self._left = 0  # bytes of a body whose length is known
        self._extra = False
        self._keep_alive = False
        self.status = 0
        self.headers: Headers = []
        #: Interim answers (1xx) that came since the last ``take_interim``: status and fields.
        self.interim: list[tuple[int, Headers]] = []
        #: The head, if it needed no parser; it may be that of many answers.
        self.plain: PlainHead | None = None
        self.chunks: list[bytes] = []
        self.started = False
        self.complete = False
        self.switched = False
        self.touched = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take bytes from the app; raises ``AppUnreachable`` if they are no HTTP response."""
        if not self.touched:
            self.touched = True
            if not self._upgrade and self._begin_plain(data):
                return
        if self._left:
            self._pass(data)
        elif self.plain is not None:
            self._extra = True
        else:
            self._parse(data)

    def _begin_plain(self, data: bytes) -> bool:
        """Take what a head comes with that needs no parser; returns whether it is one."""
        plain = plain_head(data)
        if plain is None:
            return False
        self.plain = plain
        self.status = plain.status
        self.headers = plain.headers
        self._keep_alive = plain.keep_alive
        self.started = self._delimited = True
        self._left = 0 if self._head_only else plain.length
        self.complete = not self._left
        if len(data) > plain.size:
            if self._left:
                self._pass(data[plain.size :])
            else:
                self._extra = True
        return True

    def _parse(self, data: bytes) -> None:
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        if not self.started:
            self._room -= len(data)
            if self._room < 0:
                raise AppUnreachable("The app’s answer has a head larger than can be passed on.")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            if not self._upgrade or self.status != 101:
                raise AppUnreachable("The app changed the protocol, unasked.") from None
            self.switched = True
            self.rest = data[switch.args[0] :]
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, AppUnreachable):
                raise error.__context__ from None
            if not self.complete:
                raise AppUnreachable("The app did not answer in HTTP.") from None
            self._extra = True

    def _pass(self, data: bytes) -> None:
        """Take a piece of a body of known length, which needs no parser."""
        self._extra = len(data) > self._left
        self.chunks.append(data[: self._left] if self._extra else data)
        self._left -= len(self.chunks[-1])
        self.complete = not self._left

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the same connection."""
        return self.complete and self._keep_alive and not self._extra

    def to_client(self, prefix: bytes, strip: bytes) -> Headers:
        """Return the fields for the browser; see ``forwarding.to_client``. Not to be changed."""
        if self.plain is not None:
            return self.plain.to_client(prefix, strip)
        return to_client(self.headers, prefix, self.status, strip)

    def take_interim(self, prefix: bytes, strip: bytes) -> list[tuple[int, Headers]]:
        """Return the interim answers since the last call, with fields as the browser may see them."""
        found, self.interim = self.interim, []
        return [(status, to_client(fields, prefix, status, strip)) for status, fields in found]

    def feed_eof(self) -> None:
        """Take the end of the connection, which also ends a body of unknown length."""
        if not self.started:
            raise AppUnreachable("The app ended the connection without an answer.")
        if self._delimited and not self.complete:
            raise AppUnreachable("The app ended the connection in the middle of its answer.")
        self.complete = True
        self._keep_alive = False

    def take(self) -> bytes:
        """Return the body bytes parsed since the last call."""
        if not self.chunks:
            return b""
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        return body

    # --- httptools callbacks ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            self._extra = True  # a second response that nobody asked for
        else:
            self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.started:  # what comes later are trailers, which are no header fields
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if self.complete:
            return
        if 100 <= status < 200 and not (status == 101 and self._upgrade):
            self._add_interim(status)
            return
        if not 100 <= status < 600:
            raise AppUnreachable("The app’s answer has a status that does not exist.")
        self.status = status
        self.started = True
        self._keep_alive = self._parser.should_keep_alive()
        coding = header(self.headers, b"transfer-encoding")
        if coding and coding.lower() != b"chunked":
            raise AppUnreachable("The app’s answer is in a coding that cannot be passed on.")
        length = header(self.headers, b"content-length")
        self._delimited = bool(coding or length) or status in (204, 304)
        if self._head_only:
            self.complete = True
        elif status not in (101, 204, 304):
            self._left = int(length or 0)

    def _add_interim(self, status: int) -> None:
        if status == 101:
            raise AppUnreachable("The app changed the protocol, unasked.")
        if status == 100 and self._continued:
            return  # to go on is said once
        self._continued |= status == 100
        self.interim.append((status, self.headers))

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self._extra = True
            return
        self.chunks.append(body)
        if self._left:
            self._left -= len(body)

    def on_message_complete(self) -> None:
        if self.started:
            self.complete = True
