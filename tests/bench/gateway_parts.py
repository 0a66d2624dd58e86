"""The other processes of the gateway benchmark: ``app`` behind ``node``, both in one.

``python gateway_parts.py APP_SOCKET APP_PORT NODE_SOCKET [HOST PORT CERTIFICATES]`` serves fixed
answers on a Unix socket
and on a port, and passes connected sockets as a node's agent does, or splices with the agent's own
byte forwarder.

A request is answered with 1 KiB; ``…/bulk?N`` with N bytes; a body is read to its end first, that of
``…/stalled`` never; a WebSocket echoes.
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import sys

import uvloop
from websockets.utils import accept_key

from compute_agent import proxy_header
from compute_agent.splice import Side, link

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n"
    b"Set-Cookie: mode=1; Path=/\r\n\r\n" + b"x" * 1024
)
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
    b'AEN-Inject: {"headers":{"Authorization":"token of-the-app"}}\r\n\r\n'
)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"
_PIECE = b"x" * 262_144
_BULK = re.compile(rb"GET \S*/bulk\?(\d+) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"\r\nsec-websocket-key: *(\S+)", re.IGNORECASE)


class App(asyncio.Protocol):
    """Answers every request at once; a request without a body is what ends with an empty line."""

    def connection_made(self, transport):
        self.transport = transport
        self.rest, self.body, self.bulk, self.writable = b"", 0, 0, True

    def data_received(self, data):
        if self.body:
            self.body -= len(data)
            if not self.body:
                self.transport.write(_ANSWER)
            return
        data = self.rest + data
        count = data.count(b"\r\n\r\n")
        self.rest = b""
        if not count:
            self.rest = data
        elif data.startswith(b"POST "):
            self._upload(data)
        elif count == 1 and (key := _KEY.search(data)):
            self._upgrade(key[1])
        elif count == 1 and (found := _BULK.match(data)):
            self._download(int(found[1]))
        else:
            self.transport.write(_ANSWER * count)
            self.rest = data[data.rindex(b"\r\n\r\n") + 4 :]

    def _upload(self, data):
        if b"/stalled " in data[:200]:
            self.transport.pause_reading()
            return
        head, _, body = data.partition(b"\r\n\r\n")
        self.body = int(_LENGTH.search(head)[1]) - len(body)
        if not self.body:
            self.transport.write(_ANSWER)

    def _download(self, size):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        self.bulk = size
        self._pour()

    def _pour(self):
        while self.bulk and self.writable:
            self.bulk -= len(_PIECE[: self.bulk])
            self.transport.write(_PIECE[: self.bulk + len(_PIECE)] if self.bulk < 0 else _PIECE)

    def pause_writing(self):
        self.writable = False

    def resume_writing(self):
        self.writable = True
        self._pour()

    def _upgrade(self, key):
        accept = accept_key(key.decode())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        self.transport.set_protocol(Echo(self.transport))


class Echo(asyncio.Protocol):
    """Echoes frames that are masked with zeros and shorter than 126 bytes: the load's own."""

    def __init__(self, transport):
        self.transport, self.rest = transport, b""

    def data_received(self, data):
        data = self.rest + data
        out, at = [], 0
        while len(data) - at >= 2 and len(data) - at >= (size := 6 + (data[at + 1] & 0x7F)):
            out += (data[at : at + 1], bytes((size - 6,)), data[at + 6 : at + size])
            at += size
        self.rest = data[at:]
        self.transport.write(b"".join(out))


class Node(asyncio.Protocol):
    """Answers the event stream with silence, else with a passed socket or, if asked so, a splice."""

    def __init__(self, app_socket):
        self.app_socket = app_socket

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if b"/v1/health" in data:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        elif b"/v1/events" in data:
            self.transport.write(_EVENTS)
            asyncio.get_running_loop().call_later(1, self.beat)
        else:
            self.transport.pause_reading()
            if proxy_header.begins(data):
                self.task = asyncio.ensure_future(self.join(data))
                return
            passing = b"aen-socket" in data
            self.task = asyncio.ensure_future(self.pass_socket() if passing else self.splice())

    def beat(self):
        if not self.transport.is_closing():
            self.transport.write(b'{"type":"snapshot","app_ids":[]}\n')
            asyncio.get_running_loop().call_later(1, self.beat)

    async def pass_socket(self):
        with socket.socket(socket.AF_UNIX) as app:
            app.connect(self.app_socket)
            own = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
            with own, contextlib.suppress(BrokenPipeError):  # it was not waited for
                socket.send_fds(own, [_SWITCHING % b"aen-socket"], [app.fileno()])
        self.transport.close()

    async def splice(self):
        await self.join(b"", _SWITCHING % b"aen-stream")

    async def join(self, data, answer=b""):
        """Be a connection to the app from here on, from behind a PROXY header if there is one."""
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_unix_connection(Side, self.app_socket)
        client = Side()
        client.early = data[proxy_header.read(data).size :] if data else b""
        self.transport.write(answer)
        self.transport.set_protocol(client)
        client.attach(self.transport)
        link(client, upstream)


def mutual_tls(host, place):
    """Return an agent's context, made of the files in ``place``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(f"{place}/{host}.pem", f"{place}/{host}.key")
    context.load_verify_locations(f"{place}/ca.pem")
    return context


async def main(app_socket, app_port, node_socket, host="", port="0", place=""):
    loop = asyncio.get_running_loop()
    servers = [  # kept: a server that nobody refers to is collected and closed
        await loop.create_unix_server(App, app_socket, backlog=4096),
        await loop.create_server(App, "127.0.0.1", int(app_port), backlog=4096),
        await loop.create_unix_server(lambda: Node(app_socket), node_socket, backlog=4096),
    ]
    if host:
        tls = mutual_tls(host, place)
        far = await loop.create_server(lambda: Node(app_socket), host, int(port), ssl=tls)
        servers.append(far)
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
