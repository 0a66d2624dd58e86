"""An app that reads strictly: h11 judges every byte that reaches it."""

import contextlib
import socket
import threading
from typing import NamedTuple

import h11

MAX_HEAD = 512 * 1024


class Asked(NamedTuple):
    """A request as h11 read it; names of fields in lower case, in their order."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]


class Reply(NamedTuple):
    """Bytes to send in pieces, as they are; then ``close`` or take another request."""

    pieces: list[bytes]
    close: bool = False


def numbered(number: int, asked: Asked) -> Reply:
    """Return an answer that names the request by its number."""
    body = b"" if asked.method == "HEAD" else b"number %d" % number
    return Reply([b"HTTP/1.1 200 OK\r\nX-Number: %d\r\nContent-Length: %d\r\n\r\n%b"
                  % (number, len(b"number %d" % number), body)])  # fmt: skip


class StrictApp:
    """Listens at ``path``. ``seen``: requests in the order they came; ``broken``: what was none."""

    def __init__(self, path) -> None:
        self.reply = numbered
        self.seen: list[Asked] = []
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self._socks: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock = self._listener.accept()[0]
                self._socks.add(sock)
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock) -> None:
        try:
            rest = b""
            while rest is not None:
                rest = self._one(sock, rest)
        except OSError:
            pass  # the gateway went away, as it may
        finally:
            self._socks.discard(sock)
            sock.close()

    def _one(self, sock, rest: bytes) -> bytes | None:
        """Read a request and answer it; return what came behind it, ``None`` at the end."""
        reader = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        if rest:
            self.broken.append(f"unasked bytes: {rest!r}")
            return None
        request, body, raw = None, b"", b""
        while True:
            try:
                event = reader.next_event()
            except h11.RemoteProtocolError as error:
                self.broken.append(f"{error}: {raw!r}")
                return None
            if event is h11.NEED_DATA:
                data = sock.recv(65536)
                if not data:
                    return None  # cut off: whoever sent it is gone
                raw += data
                reader.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return None
        return self._answer(sock, request, body, reader.trailing_data[0])

    def _answer(self, sock, request, body: bytes, behind: bytes) -> bytes | None:
        fields = [(name.decode(), value.decode("latin-1")) for name, value in request.headers]
        asked = Asked(request.method.decode(), request.target.decode("latin-1"), fields, body)
        with self._lock:
            number = len(self.seen)
            self.seen.append(asked)
        reply = self.reply(number, asked)
        for piece in reply.pieces:
            sock.sendall(piece)
        return None if reply.close else behind

    def forget(self) -> None:
        """Begin anew; idle connections stay, as whoever keeps them may just be using one."""
        self.seen, self.broken = [], []

    def close(self) -> None:
        self._listener.close()
        for sock in list(self._socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
