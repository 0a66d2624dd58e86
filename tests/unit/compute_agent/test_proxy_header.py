"""The PROXY header: who is behind a proxy, and to which app a connection leads."""

import asyncio

import pytest

from compute_agent.http import Connection, Refused
from compute_agent.proxy_header import SIGNATURE, read
from compute_agent.splice import Side

APP = "a" * 32
IPV4 = bytes((10, 0, 0, 7, 127, 0, 0, 1)) + (4711).to_bytes(2) + (443).to_bytes(2)
IPV6 = bytes(15) + b"\1" + bytes(15) + b"\2" + (4711).to_bytes(2) + (443).to_bytes(2)
NAMED = b"\x05" + len(APP).to_bytes(2) + APP.encode()


def header(body=b"", command=0x21, family=0x11) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2) + body


@pytest.mark.parametrize(
    ("data", "client", "unique_id"),
    [
        (header(IPV4), ("10.0.0.7", 4711), ""),
        (header(IPV4 + NAMED), ("10.0.0.7", 4711), APP),
        (header(IPV4 + b"\x04\0\2xx" + NAMED), ("10.0.0.7", 4711), APP),
        (header(IPV6 + NAMED, family=0x21), ("::1", 4711), APP),
        (header(NAMED, command=0x20, family=0), None, APP),
        (header(bytes(216) + NAMED, family=0x31), None, APP),
        (header(command=0x20, family=0), None, ""),
    ],
)
def test_a_whole_header_says_who_and_where_to(data, client, unique_id):
    assert read(data + b"GET ") == (len(data), client, unique_id)


def test_a_header_in_pieces_is_waited_for():
    data = header(IPV4 + NAMED)
    assert [read(data[:size]) for size in range(len(data))] == [None] * len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 ",
        header(command=0x11),
        header(bytes(2000)),
        header(b"x"),
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(ValueError):
        read(data)


@pytest.fixture
async def agent(tmp_path):
    """A function that connects to an agent with one app, which echoes."""
    loop = asyncio.get_running_loop()

    async def echo(reader, writer):
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    async def dial(app_id):
        if app_id != APP:
            raise Refused(404, "unknown_app", "")
        return (await loop.create_unix_connection(Side, str(tmp_path / "app")))[1]

    async def no_request(exchange):
        raise AssertionError("this is no request")

    app = await asyncio.start_unix_server(echo, tmp_path / "app")
    listening = await loop.create_unix_server(
        lambda: Connection(no_request, lambda _: True, dial), str(tmp_path / "agent")
    )
    yield lambda: asyncio.open_unix_connection(tmp_path / "agent")
    listening.close()
    app.close()


@pytest.mark.parametrize("cut", [1, 13, 30, 200])
async def test_a_connection_that_begins_with_an_apps_name_is_one_to_the_app(agent, cut):
    reader, writer = await agent()
    data = header(IPV4 + NAMED) + b"early"
    writer.write(data[:cut])
    await asyncio.sleep(0)
    writer.write(data[cut:] + b" and late")
    writer.write_eof()
    async with asyncio.timeout(10):
        assert await reader.read() == b"EARLY AND LATE"
    writer.close()


@pytest.mark.parametrize("body", [IPV4, IPV4 + NAMED.replace(b"a", b"b")])
async def test_a_connection_to_no_app_ends(agent, body):
    reader, writer = await agent()
    writer.write(header(body) + b"early")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()
