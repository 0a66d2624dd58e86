"""How the server's process reads HTTP, as it is served: by a real socket, without the site behind it."""

import contextlib
import socket
import threading

import msgspec
import pytest
import uvicorn

from deploy.programs import _UVICORN

HEAD = b"POST / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nTransfer-Encoding: chunked\r\n\r\n"
OPTIONS = dict(zip(_UVICORN[::2], _UVICORN[1::2], strict=False))


async def told(scope, receive, send):
    """Answer with the header fields, once the body is there."""
    while (await receive()).get("more_body"):
        pass
    fields = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": msgspec.json.encode(fields)})


class _Uvicorn(uvicorn.Server):
    capture_signals = contextlib.nullcontext


@pytest.fixture(scope="module")
def address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        protocol = uvicorn.importer.import_from_string(OPTIONS["--http"])
        config = uvicorn.Config(told, http=protocol, lifespan="off", log_config=None)
        server = _Uvicorn(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(15)


def said(address, data: bytes) -> bytes:
    with socket.create_connection(address, 15) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while not answer.endswith(b"0\r\n\r\n") and (more := sock.recv(65536)):
                answer += more
        return answer


@pytest.mark.row(6)
def test_trailers_are_no_header_fields(address):
    """With them, who signs in would choose for which address that counts."""
    answer = said(address, HEAD + b"2\r\nhi\r\n0\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and b"192.0.2.1" in answer
    assert b"192.0.2.9" not in answer


@pytest.mark.row(11)
@pytest.mark.parametrize(
    "begin", [HEAD + b"2\r\nhi\r\n0\r\nX-Long: ", HEAD + b"1;", b"GET / HTTP/1.1\r\nX-Long: "]
)
def test_what_is_no_body_has_an_end(address, begin):
    assert b"200 OK" not in said(address, begin + b"x" * 2_000_000)


def test_a_large_body_passes(address):
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (1_000_000, b"x" * 1_000_000)
    assert said(address, HEAD + body).startswith(b"HTTP/1.1 200 ")
