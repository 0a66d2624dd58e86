"""Between a client and the compatible server: says the same in words that the server understands.

SecantusDB 0.7.0b3 takes two stages wrong when a field in them is written as a document, which is how
django-mongodb-backend writes every join: ``{"$project": {"a": {"b": 1}}}`` gives the number 1 for the
field, and ``{"$addFields": {"a": {"b": …}}}`` loses the other fields of ``a``. Written with a dot,
``{"a.b": 1}``, both mean the same to MongoDB, and that the server takes right. Nothing else is changed,
no answer is: ``python -m tests.mongodb.translate PORT`` prints the port it listens on.
"""

import asyncio
import contextlib
import struct
import sys
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

_HEADER = struct.Struct("<iiii")
_OP_MSG, _BODY = 2013, 0
_EXACTLY = CodecOptions(document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_MS)


def translated(message: bytes) -> bytes:
    """Return a message of the wire (header included) with its pipeline written with dots."""
    _, request, reply_to, operation = _HEADER.unpack_from(message)
    if operation != _OP_MSG or b"pipeline\0" not in message or message[20] != _BODY:
        return message
    size = struct.unpack_from("<i", message, 21)[0]
    command = bson.decode(message[21 : 21 + size], _EXACTLY)
    if "pipeline" not in command:
        return message
    command["pipeline"] = _pipeline(command["pipeline"])
    rest = message[16:21] + bson.encode(command, codec_options=_EXACTLY) + message[21 + size :]
    return _HEADER.pack(_HEADER.size + len(rest), request, reply_to, operation) + rest


def _pipeline(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: _stage(name, spec) for name, spec in stage.items()} for stage in stages]


def _stage(name: str, spec: Any) -> Any:
    if name in ("$project", "$addFields", "$set"):
        return dotted(spec)
    if name in ("$lookup", "$unionWith") and isinstance(spec, dict) and "pipeline" in spec:
        return spec | {"pipeline": _pipeline(spec["pipeline"])}
    if name == "$facet":
        return {field: _pipeline(stages) for field, stages in spec.items()}
    return spec


def dotted(spec: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return the fields of a stage with those that are documents written with dots."""
    found: dict[str, Any] = {}
    for name, value in spec.items():
        if isinstance(value, dict) and value and not next(iter(value)).startswith("$"):
            found |= dotted(value, f"{before}{name}.")
        else:
            found[before + name] = value
    return found


async def _messages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            start = await reader.readexactly(4)
            rest = await reader.readexactly(struct.unpack("<i", start)[0] - 4)
            writer.write(translated(start + rest))
            await writer.drain()
    writer.close()


async def _bytes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_messages(reader, to_upstream), _bytes(upstream, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
