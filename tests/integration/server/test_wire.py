"""Wire 1 from the gateway's side: a real WebSocket application over the real database."""

import asyncio

import pytest
import websockets
from channels.db import database_sync_to_async as in_thread
from django.db import OperationalError
from msgspec import Raw
from server_wire import until

from accounts import actions as accounts
from compute_agent.protocol import AppStatus, Launch, NodeStatus, Snapshot, decode_command
from datacenters import actions as datacenters
from datacenters.consumers import GatewayWire
from datacenters.models import Gateway, Node
from gateway.protocol import (
    FromNode,
    Hello,
    NodeLink,
    Nodes,
    Revoke,
    ToNode,
)
from projects import actions
from projects.models import AppInstance

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_wrong_credential_is_turned_away(dial):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await dial("wrong")
    assert refused.value.response.status_code == 403


async def test_a_gateway_is_welcomed_with_its_nodes_and_counts_as_up(wire, center):
    assert [node.address for node in wire.welcome.nodes] == ["unix:/nowhere/agent.sock"]
    await until(lambda: Gateway.objects.get().is_up)


async def test_a_start_goes_out_and_what_the_node_reports_comes_in(wire, project, cast, center):
    row = await in_thread(actions.start_app)(project, "lab", by=cast.mira)
    message = await wire.hear(ToNode)
    assert isinstance(decode_command(bytes(message.body)), Launch)
    await wire.report(center.node, AppStatus(app_id=row.pk.hex, revision=1, state="running"))
    await until(lambda: AppInstance.objects.get().state == "running")


async def test_a_revocation_goes_out_at_once(wire, cast):
    await in_thread(accounts.lock_user)(cast.mira, by=cast.ada)
    assert await wire.hear(Revoke) == Revoke("user", cast.mira.pk.hex)


async def test_a_revocation_before_the_connection_is_not_repeated(dial, cast):
    await in_thread(accounts.lock_user)(cast.mira, by=cast.ada)
    wire = await dial()
    await in_thread(accounts.lock_user)(cast.otto, by=cast.ada)
    assert await wire.hear(Revoke) == Revoke("user", cast.otto.pk.hex)


@pytest.mark.row(4)
async def test_a_gateway_cannot_speak_for_a_node_of_another_data_center(wire, center):
    def elsewhere():
        south = datacenters.ensure_data_center("south", by=None)
        return datacenters.enroll_node("node-9", south, "unix:/x", by=None)

    other = await in_thread(elsewhere)()
    await wire.say(NodeLink(other.pk.hex, up=True))
    await wire.say(NodeLink(center.node.pk.hex, up=False, cause="mark"))
    await until(lambda: Node.objects.get(pk=center.node.pk).cause == "mark")
    assert not await in_thread(lambda: Node.objects.get(pk=other.pk).up)()


async def test_nonsense_does_not_end_the_wire(wire, center):
    await wire.socket.send('{"type": "no such"}')
    await wire.socket.send("not even JSON")
    await wire.say(FromNode(center.node.pk.hex, Raw(b'{"type":"app"}')))
    await wire.report(center.node, Snapshot(()))
    status = NodeStatus("root", "root", "box", "1", ())
    await wire.report(center.node, status)
    await until(lambda: Node.objects.get().status.get("hostname") == "box")


async def test_what_an_app_prints_is_kept_without_its_nul_characters(wire, project, cast, center):
    row = await in_thread(actions.start_app)(project, "lab", by=cast.mira)
    lines = ("a\x00b", r"\u0000")
    report = AppStatus(row.pk.hex, revision=1, state="failed", cause="\x00", log=lines)
    await wire.report(center.node, report)
    await until(lambda: AppInstance.objects.get().state == "failed")
    assert (await in_thread(AppInstance.objects.get)()).log == ["ab", r"\u0000"]


async def test_a_new_node_is_told_to_its_gateway(wire, center, monkeypatch):
    monkeypatch.setattr("datacenters.consumers.NOTE_EVERY", 0.0)
    await in_thread(datacenters.enroll_node)("node-2", center.row, "unix:/y", by=None)
    names = [node.name for node in (await wire.hear(Nodes)).nodes]
    assert names == ["node-1", "node-2"]


async def test_when_the_gateway_goes_its_nodes_are_out_of_reach_with_the_cause(wire):
    await wire.socket.close()
    await until(lambda: not Node.objects.get().up)
    assert "gateway" in await in_thread(lambda: Node.objects.get().cause)()


async def test_the_newer_of_two_connections_of_a_gateway_counts(wire, dial):
    newer = await dial()
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await wire.hear(Nodes)
    assert closed.value.rcvd.code == 4409
    await newer.say(NodeLink("0" * 32, up=True))
    await until(lambda: Gateway.objects.get().is_up)


async def closed_with(wire):
    """Return the code with which the server ends the wire."""
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await wire.hear(Nodes)
    return closed.value.rcvd.code


async def test_the_wire_of_a_removed_gateway_ends_at_once(wire, center):
    await in_thread(datacenters.remove_gateway)(center.gateway, by=None)
    assert await closed_with(wire) == 4401


async def test_a_new_credential_ends_the_wire_of_the_old_one(wire, center):
    await in_thread(datacenters.enroll_gateway)("north", center.row, "http://g.test", by=None)
    assert await closed_with(wire) == 4401


async def test_a_report_that_cannot_be_taken_costs_only_itself(wire, center, monkeypatch):
    def odd(node, report):
        raise OverflowError("Python int too large to convert to SQLite INTEGER")

    monkeypatch.setattr("datacenters.wire._app_reports", [odd])
    await wire.report(center.node, Snapshot(()))
    await wire.report(center.node, NodeStatus("root", "root", "box", "1", ()))
    await until(lambda: Node.objects.get().status.get("hostname") == "box")


async def test_a_report_that_cannot_be_stored_is_asked_for_again(wire, center, monkeypatch):
    def away(node, report):
        raise OperationalError("database is locked")

    monkeypatch.setattr("datacenters.wire._app_reports", [away])
    await wire.report(center.node, Snapshot(()))
    assert await closed_with(wire) == 1011


async def test_a_database_that_fails_sender_and_reader_at_once_lets_the_gateway_come_back(
    wire, dial, monkeypatch
):
    async def away_too(consumer, data):
        await asyncio.wait([consumer.sender])
        raise OperationalError("the database is away")

    def away(gateway):
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(GatewayWire, "_take", away_too)
        await wire.say(Hello("1"))
        patched.setattr("datacenters.wire.is_enrolled", away)
        assert await closed_with(wire) == 1011
    assert (await dial()).welcome.nodes == wire.welcome.nodes
    await until(lambda: Gateway.objects.get().is_up)


async def test_a_command_that_was_lost_with_the_connection_is_sent_again(
    wire, dial, project, cast, center
):
    def with_a_node():
        project.node = center.node
        project.save()
        actions.set_role(project, "otto", "viewer", by=cast.mira)

    await in_thread(with_a_node)()
    first = await wire.hear(ToNode)
    await wire.socket.close()
    newer = await dial()
    await newer.say(NodeLink(center.node.pk.hex, up=True))
    assert (await newer.hear(ToNode)).id == first.id


async def test_other_addresses_have_no_websocket_and_leave_no_traceback(dial, caplog):
    for path in ("", "/gateway/wires", "/mira/forecast/lab/api/kernels/1/channels"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(dial.address + path, proxy=None)
        assert refused.value.response.status_code == 403
    assert "Traceback" not in caplog.text
