"""Ends all apps of a node: through its agent, as a gateway would, else by their runners."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from compute_agent import runners
from compute_agent.config import Config, ConfigError
from compute_agent.protocol import AppStatus, Command, Snapshot, Stop, decode_report, encode

_OVER = ("stopped", "failed")


async def stop_all(config: Config) -> None:
    """Stop every app and return once all are over."""
    path = config.socket_path
    if path is None:
        raise ConfigError("listen: --stop-all needs an agent on a Unix socket")
    try:
        async with _events(str(path)) as lines:
            await _until_all_over(str(path), lines)
    except (OSError, EOFError):
        await _stop_runners(Path(config.run_dir))


async def _stop_runners(run_dir: Path) -> None:
    """End what an agent that is gone left running; the next one will find that it ended."""
    live = _runners(run_dir)
    for runner in live:
        runner.stop()
    for runner in live:
        await runner.ended.wait()


def _runners(run_dir: Path) -> list[runners.Runner]:
    found = (runners.adopt(None, place.parent) for place in run_dir.glob("*/runner.json"))
    return [runner for runner in found if runner is not None]


async def _until_all_over(path: str, lines: AsyncIterator[bytes]) -> None:
    live: set[str] = set()
    complete = False
    async for line in lines:
        report = decode_report(line)
        if isinstance(report, AppStatus):
            if report.state in _OVER:
                live.discard(report.app_id)
            elif report.app_id not in live:
                live.add(report.app_id)
                await _send(path, Stop(app_id=report.app_id))
        complete = complete or isinstance(report, Snapshot)
        if complete and not live:
            return


async def _send(path: str, command: Command) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    body = encode(command)
    head = f"POST /v1/commands HTTP/1.1\r\nHost: node\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"  # noqa: E501
    writer.write(head.encode() + body)
    await reader.read()
    writer.close()


@asynccontextmanager
async def _events(path: str) -> AsyncIterator[AsyncIterator[bytes]]:
    reader, writer = await asyncio.open_unix_connection(path, limit=4 * 1024 * 1024)
    try:
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: node\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        yield _lines(reader)
    finally:
        writer.close()


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a chunked answer."""
    rest = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        rest += await reader.readexactly(size)
        await reader.readexactly(2)
        *lines, rest = rest.split(b"\n")
        for line in lines:
            yield line
