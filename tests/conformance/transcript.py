"""Both ends of a request as plain sockets, so that a test reads as what was said, byte for byte."""

import select
import socket

from fake_parts import eventually

PATIENCE = 15
#: For other proxies, of which some transcripts wait in vain.
PEERS_PATIENCE = 4


class End:
    """A socket with what was read too far."""

    def __init__(self, sock: socket.socket, patience: int) -> None:
        self.sock = sock
        sock.settimeout(patience)
        self._read = b""

    def says(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hears(self, wanted: bytes) -> None:
        """The next bytes are these."""
        read = bytearray(self._read)
        while len(read) < len(wanted) and (more := self.sock.recv(65536)):
            read += more
        self._read = bytes(read)
        assert self._read[: len(wanted)] == wanted, self._read[:500]
        self._read = self._read[len(wanted) :]

    def hears_bytes(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        while len(self._read) < count:
            more = self.sock.recv(65536)
            assert more, f"the end came after {self._read[:500]!r}"
            self._read += more
        found, self._read = self._read[:count], self._read[count:]
        return found

    def hears_until(self, end: bytes) -> bytes:
        """Return the next bytes up to ``end``, and that too."""
        while end not in self._read:
            more = self.sock.recv(65536)
            assert more, f"the end came before {end!r}: {self._read[:500]!r}"
            self._read += more
        found, _, self._read = self._read.partition(end)
        return found + end

    def hears_head(self) -> "Head":
        return Head(self.hears_until(b"\r\n\r\n"))

    def hears_end(self) -> bytes:
        """Return all that comes before the connection ends, in good order or not."""
        try:
            while more := self.sock.recv(65536):
                self._read += more
        except ConnectionResetError:
            pass
        found, self._read = self._read, b""
        return found

    def hears_chunked(self) -> bytes:
        """Return a body in the chunked coding, which must have neither extension nor trailer."""
        body = b""
        while size := int(self.hears_until(b"\r\n"), 16):
            body += self.hears_bytes(size)
            self.hears(b"\r\n")
        self.hears(b"\r\n")
        return body

    def close(self) -> None:
        self.sock.close()


class Head:
    """A message's first line and its fields, names in lower case."""

    def __init__(self, raw: bytes) -> None:
        self.first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        self.fields = [
            (name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)
        ]

    @property
    def status(self) -> int:
        return int(self.first.split(" ")[1])

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    @property
    def says_that_the_app_failed(self) -> bool:
        """With 502, or with 503 as some other proxies say it."""
        return self.status in (502, 503)

    def __getitem__(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))


class Conversation:
    """``browser`` speaks to the gateway; ``app`` is the app's end, once something has reached it."""

    def __init__(self, site) -> None:
        self.site = site
        self.opened = site.open_socket()
        self._patience = PEERS_PATIENCE if site.is_peer else PATIENCE
        self.listener = self._listen()
        self._ends = []
        site.granted(self.opened)
        if site.haproxy is not None:
            self._tell_haproxy()
        self.browser = self.new_browser()

    def _listen(self) -> socket.socket:
        if self.site.is_peer:  # as they are used: by a port
            return socket.create_server(("127.0.0.1", self.opened.port))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.opened.path))
        listener.listen()
        return listener

    def _tell_haproxy(self) -> None:
        """Make a request like the later ones, after which HAProxy need not ask for those."""
        browser = self.new_browser()
        browser.says(self.request())
        # One connection is the request's, the other is to learn what the app is to be sent.
        apps = [self.app(), self.app()]
        (asked,) = select.select([app.sock for app in apps], [], [], PATIENCE)[0]
        asked.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert browser.hears_head().status == 200
        for end in (browser, *apps):
            end.close()
        eventually(lambda: any(self.opened.app_id in entry for entry in self.site.haproxy.entries))

    def new_browser(self) -> End:
        return self._kept(socket.create_connection(("127.0.0.1", self.site.port)))

    def app(self) -> End:
        """The next connection that reaches the app."""
        self.listener.settimeout(self._patience)
        return self._kept(self.listener.accept()[0])

    def _kept(self, sock) -> End:
        self._ends.append(End(sock, self._patience))
        return self._ends[-1]

    def nothing_reached_the_app(self) -> bool:
        """Whether no connection came, with or without a byte; asked when the gateway has answered."""
        self.listener.settimeout(0)
        try:
            came = self.listener.accept()[0]
        except BlockingIOError:
            return True
        with came:
            return self.site.is_peer and self._brings_nothing(came)

    def _brings_nothing(self, came: socket.socket) -> bool:
        """Other proxies may connect before they have seen what is wrong."""
        came.settimeout(1)
        try:
            return not came.recv(1)
        except TimeoutError:
            return True

    def request(self, rest="", *fields, method="GET", body=b"") -> bytes:
        """Return a signed-in request for what is under the app's path."""
        lines = [
            f"{method} {self.opened.prefix}{rest} HTTP/1.1",
            f"Host: 127.0.0.1:{self.site.port}",
            f"Cookie: aen_gateway={self.opened.session}",
            *fields, "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode("latin-1") + body

    def asks(self, rest="", *fields, method="GET", body=b"") -> tuple[End, Head]:
        """The browser sends a request; return the app's end and the head that arrived there."""
        self.browser.says(self.request(rest, *fields, method=method, body=body))
        app = self.app()
        return app, app.hears_head()

    def end(self) -> None:
        for end in self._ends:
            end.close()
        self.listener.close()
