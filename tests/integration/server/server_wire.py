"""A gateway's end of wire 1, for tests of the server's end."""

import asyncio

from channels.db import database_sync_to_async as in_thread
from msgspec import Raw

from compute_agent.protocol import encode as encode_report
from gateway.protocol import FromNode, decode_from_server, encode

PATIENCE = 10


class Wire:
    """A gateway's end of the wire."""

    def __init__(self, socket):
        self.socket = socket

    async def say(self, message):
        await self.socket.send(encode(message).decode())

    async def hear(self, kind):
        """Return the next message of that kind."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = decode_from_server(await self.socket.recv())
                if isinstance(message, kind):
                    return message

    async def report(self, node, report):
        await self.say(FromNode(node.pk.hex, Raw(encode_report(report))))


async def until(condition):
    """Wait until a synchronous look at the database finds ``condition`` true."""
    async with asyncio.timeout(PATIENCE):
        while not await in_thread(condition)():
            await asyncio.sleep(0.01)
