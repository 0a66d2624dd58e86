"""Wire 2, spoken to the fake node of the gateway's tests and to the real agent alike."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from gateway_fakes import FakeNode, LoopThread, eventually

UNKNOWN = "f" * 32
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def fake(place):
    thread = LoopThread()
    node = FakeNode(place / "agent.sock")
    thread.run(node.start())
    try:
        yield node.path
    finally:
        thread.run(node.stop())
        thread.stop()


@contextlib.contextmanager
def real(place):
    config = {
        "listen": f"unix:{place}/agent.sock",
        "project_root": f"{place}/projects",
        "run_dir": str(place),
        "state_dir": f"{place}/state",
        "service_account": "",
    }
    (place / "config.json").write_text(json.dumps(config))
    agent = subprocess.Popen(
        [sys.executable, "-m", "compute_agent", "-c", str(place / "config.json")],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually((place / "agent.sock").is_socket, 60)
        yield place / "agent.sock"
    finally:
        agent.terminate()
        agent.wait(20)


@pytest.fixture(params=[fake, real], ids=["fake", "real"])
def node(request):
    """An HTTP client that speaks to a node."""
    # Short: a socket's path has 107 bytes at most, and those of apps are the longest.
    with (
        tempfile.TemporaryDirectory(prefix="aen-n", dir="/tmp") as place,
        request.param(Path(place)) as path,
    ):
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://node", timeout=20) as client:
            yield client


def upgrade(node, app_id):
    fields = {"Connection": "Upgrade", "Upgrade": "aen-stream"}
    return node.post(f"/v1/apps/{app_id}/connect", headers=fields)


def reports(node, count):
    with node.stream("GET", "/v1/events") as answer:
        assert answer.status_code == 200
        lines = answer.iter_lines()
        return [json.loads(next(lines)) for _ in range(count)]


def test_the_event_stream_begins_with_node_and_snapshot(node):
    first, second = reports(node, 2)
    assert (first["type"], second) == ("node", {"type": "snapshot", "app_ids": []})
    assert {"name", "title", "icon", "landing"} <= set(first["apps"][0])


def test_the_event_stream_begins_anew_for_each_reader(node):
    assert reports(node, 2)[1:] == reports(node, 2)[1:]


def test_a_command_is_taken_before_it_is_done(node):
    answer = node.post("/v1/commands", content=b'{"type":"stop","app_id":"%b"}' % UNKNOWN.encode())
    assert answer.status_code == 202


def test_a_connection_to_an_unknown_app_is_refused_in_words(node):
    answer = upgrade(node, UNKNOWN)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_app"
    assert answer.json()["detail"].endswith(".")


def test_a_question_is_answered_once_on_the_event_stream(node):
    project = {"owner": "mira", "name": "forecast", "owner_account": "mira"}
    question = {"type": "explain", "question_id": UNKNOWN, "project": project, "account": "mira",
                "path": "data/raw"}  # fmt: skip
    with node.stream("GET", "/v1/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        assert node.post("/v1/commands", json=question).status_code == 202
        told = next(one for one in map(json.loads, lines) if one["type"] == "explanation")
    assert told["question_id"] == UNKNOWN
    assert (told["kind"], told["access"], told.get("looks", [])) == ("missing", "---", [])
    assert told["cause"].endswith(".")
