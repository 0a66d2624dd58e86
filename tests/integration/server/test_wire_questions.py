"""Questions on permissions over the real wire: asked by HTTP, answered by a gateway's WebSocket."""

import asyncio

import httpx
import pytest
from channels.db import database_sync_to_async as in_thread
from server_wire import PATIENCE, until

from accounts import actions as accounts
from compute_agent.protocol import Explain, Explanation, Look, SecureProject, decode_command
from datacenters import actions as datacenters
from datacenters.models import Node
from gateway.protocol import NodeLink, ToNode, Undelivered
from projects import actions, questions
from projects.models import AccessQuestion, Project

pytestmark = pytest.mark.django_db(transaction=True)
HERE = "/api/v1/projects/mira/forecast/permissions"


@pytest.fixture
async def placed(project, center):
    await in_thread(Project.objects.update)(node=center.node)
    project.node = center.node
    return project


@pytest.fixture
async def rest(dial, cast):
    """A client of the REST API: ``rest("mira")``."""
    clients = []

    async def _rest(name):
        person = getattr(cast, name)
        _, secret = await in_thread(accounts.create_token)(person, "test", ["api"], by=person)
        client = httpx.AsyncClient(
            base_url=dial.address.replace("ws", "http"), timeout=2 * PATIENCE, trust_env=False,
            headers={"Authorization": f"Bearer {secret}"},
        )  # fmt: skip
        clients.append(client)
        return client

    yield _rest
    for client in clients:
        await client.aclose()


async def hear_question(wire):
    """Return the next question that goes to a node."""
    while True:
        message = await wire.hear(ToNode)
        command = decode_command(bytes(message.body))
        if isinstance(command, Explain):
            return message, command


def answer(command, rights="r-x"):
    looks = (Look("", f"user:{command.account}:", "rwx", rights),)
    return Explanation(command.question_id, "directory", rights, looks, "The mask cuts it.")


async def test_a_question_is_carried_to_the_node_and_its_answer_back(wire, rest, placed, center):
    client = await rest("edda")
    asked = asyncio.create_task(client.get(f"{HERE}?path=data/raw"))
    message, command = await hear_question(wire)
    assert (message.node, command.account, command.path) == (center.node.pk.hex, "edda", "data/raw")
    await wire.report(center.node, answer(command))
    body = (await asked).json()
    assert (body["access"], body["cause"]) == ("r-x", "The mask cuts it.")
    assert not await in_thread(AccessQuestion.objects.exists)()


async def test_who_waits_keeps_nobody_from_being_served(wire, rest, placed, center, cast):
    clients = [await rest(name) for name in ("mira", "max", "edda", "vera")]
    asked = [asyncio.create_task(client.get(HERE)) for client in clients * 3]
    commands = [(await hear_question(wire))[1] for _ in asked]
    assert (await clients[0].get("/api/v1/health")).status_code == 200
    assert len({command.question_id for command in commands}) == len(commands)
    for command in reversed(commands):
        await wire.report(center.node, answer(command))
    for one in asked:
        assert (await one).status_code == 200
    accounts_asked = sorted(command.account for command in commands)
    assert accounts_asked == sorted(["mira", "max", "edda", "vera"] * 3)


@pytest.mark.row(4)
async def test_another_node_cannot_answer(wire, rest, placed, center, monkeypatch):
    monkeypatch.setattr(questions, "PATIENCE", 1.0)
    other = await in_thread(datacenters.enroll_node)("node-2", center.row, "unix:/y", by=None)
    client = await rest("edda")
    asked = asyncio.create_task(client.get(HERE))
    _, command = await hear_question(wire)
    await wire.report(other, answer(command))
    body = (await asked).json()
    assert (body["code"], "node-1 did not answer" in body["detail"]) == ("no_answer", True)


async def test_a_node_that_refuses_is_told_at_once(wire, rest, placed, center):
    client = await rest("edda")
    asked = asyncio.create_task(client.get(HERE))
    message, _ = await hear_question(wire)
    await wire.say(Undelivered(center.node.pk.hex, message.id, "It knows no such command.", True))
    response = await asked
    assert response.status_code == 503
    assert "It knows no such command." in response.json()["detail"]


async def test_when_the_node_goes_away_meanwhile_that_is_what_is_said(
    wire, rest, placed, center, monkeypatch
):
    monkeypatch.setattr(questions, "PATIENCE", 1.0)
    client = await rest("edda")
    asked = asyncio.create_task(client.get(HERE))
    await hear_question(wire)
    await wire.say(NodeLink(center.node.pk.hex, up=False, cause="Connection refused."))
    response = await asked
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert "Connection refused." in response.json()["detail"]
    await until(lambda: not Node.objects.get().up)


@pytest.mark.rule(13)
async def test_what_is_set_by_hand_goes_to_the_node_with_the_change(wire, rest, placed, center):
    client = await rest("mira")
    set_ = {"path": "data", "user": "edda", "access": "---"}
    assert (await client.put(f"{HERE}/overrides", json=set_)).status_code == 200
    command = decode_command(bytes((await wire.hear(ToNode)).body))
    assert isinstance(command, SecureProject)
    assert [(o.path, o.account, o.access) for o in command.project.overrides] == [
        ("data", "edda", "---")
    ]


@pytest.mark.rule(12)
async def test_a_removal_from_the_team_goes_to_the_node_with_the_change(wire, placed, center, cast):
    await in_thread(actions.remove_member)(placed, "edda", by=cast.mira)
    command = decode_command(bytes((await wire.hear(ToNode)).body))
    assert isinstance(command, SecureProject)
    assert "edda" not in [member.account for member in command.project.members]
