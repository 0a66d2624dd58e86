"""What counts as use of an app, asked of a server on a real socket where the app is Jupyter's."""

import asyncio
import os
import time
from datetime import UTC, datetime

import pytest

from compute_agent import activity, catalog
from compute_agent.activity import Activity
from compute_agent.config import Config
from compute_agent.protocol import AppStatus, Launch, ProjectSpec
from compute_agent.record import ACTIVITY_STEP, Record
from compute_agent.stored import Stored

LONG_AGO = 1_000_000.0
APPS = catalog.of_node(Config())


def an_app(place, name="lab", told=None, active_at=LONG_AGO):
    """A running app whose changes are noted in the list ``told``."""
    launch = Launch("a" * 32, name, ProjectSpec("mira", "demo", "mira"), "mira", "/mira/demo/lab/")
    status = AppStatus("a" * 32, 1, "running", active_at=active_at)
    note = [] if told is None else told
    return Record(Stored(status, launch, uid=os.geteuid()), place, note.append)


@pytest.fixture
def serve(tmp_path):
    """Have a server answer ``/api/<what>`` with a status and a body; its socket lies where an
    app's does."""
    (tmp_path / "u").mkdir()

    async def _serve(**answers):
        async def answer(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith("GET /mira/demo/lab/api/")
            assert "?no_track_activity=1 HTTP/1.0" in head
            what = head.split("/api/")[1].split("?")[0]
            status, body = answers.get(what, (200, "[]"))
            if status:
                writer.write(f"HTTP/1.1 {status} x\r\n\r\n{body}".encode())
            writer.close()

        return await asyncio.start_unix_server(answer, str(tmp_path / "u/s"))

    return _serve


def thing(at, state="idle"):
    return f'{{"execution_state": "{state}", "last_activity": "{at}", "name": "1"}}'


async def asked(app):
    await Activity(APPS).ask(app)
    return app.active_at


def test_bytes_on_the_connections_count_but_not_for_servers_of_jupyter(tmp_path):
    lab, other = an_app(tmp_path), an_app(tmp_path, "an-app-of-another-kind")
    for app in (lab, other):
        app.traffic.moved = True
        Activity(APPS).note(app, 0.0)
    assert lab.active_at == LONG_AGO
    assert other.active_at > LONG_AGO
    assert not other.traffic.moved


@pytest.mark.parametrize(
    ("processors", "used"), [(None, False), (0.0, False), (0.04, False), (0.05, True), (3.0, True)]
)
def test_work_counts_from_a_twentieth_of_a_processor_on(tmp_path, processors, used):
    app = an_app(tmp_path)
    Activity(APPS).note(app, processors)
    assert (app.active_at > LONG_AGO) == used


def test_use_is_reported_in_steps_of_a_minute(tmp_path):
    told = []
    app = an_app(tmp_path, told=told)
    app.note_active(LONG_AGO + ACTIVITY_STEP - 1)
    app.note_active(LONG_AGO - 5)
    assert (told, app.active_at) == ([], LONG_AGO + ACTIVITY_STEP - 1)
    app.note_active(LONG_AGO + ACTIVITY_STEP)
    assert told == [app]


@pytest.mark.parametrize(
    "answers",
    [
        {"kernels": (200, f"[{thing('2026-01-02T03:04:05Z')}]")},
        {"terminals": (200, f"[{thing('2026-01-02T03:04:05.000Z')}]")},
        {"kernels": (404, ""), "terminals": (200, f"[{thing('2026-01-02T03:04:05')}]")},
        {
            "kernels": (200, f"[{thing('2026-01-01T00:00:00Z')}]"),
            "terminals": (200, f"[{thing('2026-01-02T03:04:05Z')}]"),
        },
    ],
)
async def test_the_latest_of_kernels_and_terminals_counts(serve, tmp_path, answers):
    async with await serve(**answers):
        assert (
            await asked(an_app(tmp_path)) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
        )


async def test_without_kernels_and_terminals_nothing_counts(serve, tmp_path):
    async with await serve():
        assert await asked(an_app(tmp_path)) == LONG_AGO


@pytest.mark.parametrize(
    "answer",
    [
        (200, f"[{thing('2000-01-01T00:00:00Z', 'busy')}]"),
        (200, f"[{thing('9999-01-01T00:00:00Z')}]"),
        (200, "{"),
        (200, '["x"]'),
        (200, " " * (1 << 21)),
        (500, ""),
        (0, ""),
    ],
    ids=["at work", "in the future", "cut", "odd", "too long", "an error", "nothing"],
)
async def test_a_kernel_at_work_and_a_server_that_gives_no_answer_count_as_used_now(
    serve, tmp_path, answer
):
    before = time.time()
    async with await serve(kernels=answer):
        assert before <= await asked(an_app(tmp_path)) <= time.time()


async def test_a_server_that_is_silent_is_waited_for_only_so_long(tmp_path, monkeypatch):
    monkeypatch.setattr(activity, "_PATIENCE", 0.05)
    (tmp_path / "u").mkdir()
    server = await asyncio.start_unix_server(
        lambda *_: asyncio.Event().wait(), str(tmp_path / "u/s")
    )
    app = an_app(tmp_path)
    assert await asked(app) > LONG_AGO
    assert not Activity(APPS).is_due(app)
    server.close()
