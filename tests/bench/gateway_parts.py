"""The other processes of the gateway benchmark: ``app`` behind ``node``, both in one.

``python gateway_parts.py APP_SOCKET APP_PORT NODE_SOCKET`` serves a fixed answer of 1 KiB on a Unix
socket and on a port, and splices as a node's agent does, with the agent's own byte forwarder.
"""

import asyncio
import sys

import uvloop

from compute_agent.splice import Side, link

_BODY = b"x" * 1024
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n"
    b"Set-Cookie: mode=1; Path=/\r\n\r\n" + _BODY
)
_SPLICED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: aen-stream\r\n"
    b'AEN-Inject: {"headers":{"Authorization":"token of-the-app"}}\r\n\r\n'
)
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n"


class App(asyncio.Protocol):
    """Answers every request at once; a request is what ends with an empty line."""

    def connection_made(self, transport):
        self.transport = transport
        self.rest = b""

    def data_received(self, data):
        data = self.rest + data
        count = data.count(b"\r\n\r\n")
        if count:
            self.transport.write(_ANSWER * count)
            data = data[data.rindex(b"\r\n\r\n") + 4 :]
        self.rest = data


class Node(asyncio.Protocol):
    """Answers the event stream with silence, and anything else by a splice."""

    def __init__(self, app_socket):
        self.app_socket = app_socket

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if b"/v1/events" in data:
            self.transport.write(_EVENTS)
            asyncio.get_running_loop().call_later(1, self.beat)
        else:
            self.transport.pause_reading()
            self.task = asyncio.ensure_future(self.splice())

    def beat(self):
        if not self.transport.is_closing():
            self.transport.write(b'{"type":"snapshot","app_ids":[]}\n')
            asyncio.get_running_loop().call_later(1, self.beat)

    async def splice(self):
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_unix_connection(Side, self.app_socket)
        client = Side()
        self.transport.write(_SPLICED)
        self.transport.set_protocol(client)
        client.attach(self.transport)
        link(client, upstream)


async def main(app_socket, app_port, node_socket):
    loop = asyncio.get_running_loop()
    servers = [  # kept: a server that nobody refers to is collected and closed
        await loop.create_unix_server(App, app_socket),
        await loop.create_server(App, "127.0.0.1", int(app_port)),
        await loop.create_unix_server(lambda: Node(app_socket), node_socket),
    ]
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
