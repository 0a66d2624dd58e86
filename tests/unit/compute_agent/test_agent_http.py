"""The agent's HTTP: odd and hostile requests on a real socket."""

import asyncio
import json

import pytest

from compute_agent.http import MAX_BODY, Connection, Refused
from compute_agent.protocol import Refusal


async def handler(exchange):
    if exchange.path == "/refuse":
        raise Refused(409, "busy", "Not now.")
    if exchange.path == "/crash":
        raise RuntimeError("secret detail")
    await exchange.answer(200, Refusal(exchange.method, exchange.body.decode()))


@pytest.fixture
async def server(tmp_path):
    """A function that sends bytes and returns all that comes back."""
    path = str(tmp_path / "s")
    loop = asyncio.get_running_loop()
    listening = await loop.create_unix_server(lambda: Connection(handler, lambda _: True), path)

    async def send(data):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer

    yield send
    listening.close()


def body(answer):
    return json.loads(answer.rsplit(b"\r\n\r\n", 1)[1])


async def test_several_requests_on_one_connection_are_answered_in_order(server):
    one = b"POST /a HTTP/1.1\r\nHost: n\r\nContent-Length: 1\r\n\r\n"
    answer = await server(one + b"1" + one + b"2")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.index(b'"detail":"1"') < answer.index(b'"detail":"2"')


async def test_a_refusal_names_its_code(server):
    answer = await server(b"GET /refuse HTTP/1.1\r\nHost: n\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 409")
    assert body(answer) == {"code": "busy", "detail": "Not now."}


async def test_an_error_of_ours_shows_nothing_of_itself(server):
    answer = await server(b"GET /crash HTTP/1.1\r\nHost: n\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500")
    assert b"secret" not in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
        b"GET / HTTP/1.1\r\nHost: n\r\nX: " + b"a head without end " * 3000,
    ],
)
async def test_what_is_no_request_is_refused(server, request_bytes):
    answer = await server(request_bytes)
    assert answer.startswith(b"HTTP/1.1 4")
    assert body(answer)["code"] == "bad_request"


async def test_a_body_without_end_is_refused(server):
    head = b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = MAX_BODY + 1
    answer = await server(head + b"%x\r\n" % size + b"x" * size)
    assert answer.startswith(b"HTTP/1.1 413")
