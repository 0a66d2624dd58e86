"""The server as it is served, and a gateway that dials it."""

import asyncio
import contextlib

import pytest
import uvicorn
import websockets
from server_wire import Wire

from aen_site.asgi import application
from gateway.protocol import Hello, Welcome


@pytest.fixture
async def dial(center):
    """Dial the server, as it is served, with a credential."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with contextlib.AsyncExitStack() as opened:

        async def _dial(credential=center.credential):
            address = f"ws://127.0.0.1:{port}/gateway/wire"
            headers = {"Authorization": f"Bearer {credential}"}
            connection = websockets.connect(address, additional_headers=headers, proxy=None)
            wire = Wire(await opened.enter_async_context(connection))
            await wire.say(Hello("1"))
            wire.welcome = await wire.hear(Welcome)
            return wire

        _dial.address = f"ws://127.0.0.1:{port}"
        yield _dial
    server.should_exit = True
    await serving


@pytest.fixture
async def wire(dial):
    """An open wire that was welcomed."""
    return await dial()
