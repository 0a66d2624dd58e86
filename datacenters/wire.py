"""Wire 1, the server's side: what goes to a gateway, and what comes from it.

The rooms above register here, so that imports point down: ``projects`` says which commands are due
and takes the reports on apps and the answers to questions.
"""

import json
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

import msgspec
from django.utils import timezone

from accounts.storable import without_nul
from compute_agent.protocol import (
    Answer,
    AppStatus,
    Command,
    NodeStatus,
    Snapshot,
    decode_report,
)
from compute_agent.protocol import encode as encode_command
from gateway.protocol import FromNode, NodeAddress, NodeLink, Revoke, ToNode, Undelivered

from . import outbox
from .models import Gateway, Node, Notice

log = logging.getLogger(__name__)

#: A command for a node; ``id`` names it if it can't be delivered.
Due = tuple[Node, str, Command]
CommandSource = Callable[[UUID], Iterable[Due]]
Reports = Callable[[Node, AppStatus | Snapshot | Answer], None]
Failures = Callable[[Node, Undelivered], None]

_sources: list[CommandSource] = []
_app_reports: list[Reports] = []
_failures: list[Failures] = []


def register(source: CommandSource, reports: Reports, failures: Failures) -> None:
    """Connect a room that commands nodes: its due commands, its reports, its lost commands."""
    _sources.append(source)
    _app_reports.append(reports)
    _failures.append(failures)


# --- downwards -----------------------------------------------------------------------------------


def addresses(gateway: Gateway) -> tuple[NodeAddress, ...]:
    """Return where the gateway finds the nodes of its data center."""
    nodes = Node.objects.filter(data_center=gateway.data_center_id)
    return tuple(NodeAddress(node.pk.hex, node.name, node.address) for node in nodes)


def commands(gateway: Gateway) -> list[ToNode]:
    """Return the commands that are due in the gateway's data center, and note them as sent."""
    due = [item for source in (outbox.due, *_sources) for item in source(gateway.data_center_id)]
    return [
        ToNode(node.pk.hex, command_id, msgspec.Raw(encode_command(command)))
        for node, command_id, command in due
    ]


class Notices:
    """The revocations that one connection has not sent yet."""

    #: Clocks of two processes, and a transaction's way to its commit, may differ by this much.
    OVERLAP = timedelta(seconds=30)

    def __init__(self) -> None:
        self._seen = set(self._recent().values_list("pk", flat=True))

    def _recent(self) -> "Notice.objects":
        return Notice.objects.filter(at__gt=timezone.now() - self.OVERLAP).order_by("at")

    def take(self) -> list[Revoke]:
        """Return what was revoked since the last call."""
        rows = list(self._recent())
        fresh = [row for row in rows if row.pk not in self._seen]
        self._seen = {row.pk for row in rows}
        return [Revoke(row.field, row.value) for row in fresh]


# --- upwards -------------------------------------------------------------------------------------


def storable(data: str | bytes) -> str | bytes:
    """Return a message without NUL characters. Apps print them, and PostgreSQL takes none.

    Raises ``ValueError`` for what is no JSON.
    """
    text = data if isinstance(data, str) else data.decode()
    return json.dumps(without_nul(json.loads(text))) if "\\u0000" in text else data


def receive(gateway: Gateway, message: FromNode | NodeLink | Undelivered) -> None:
    """Take what a gateway says of a node, if that node is one of its data center."""
    node = Node.objects.filter(pk=UUID(message.node), data_center=gateway.data_center_id).first()
    if node is None:
        log.warning("gateway %s spoke of node %s, which is not its own", gateway, message.node)
        return
    match message:
        case NodeLink():
            _link(node, message)
        case Undelivered():
            log.warning("%s did not take a command: %r", node, message.cause[:400])
            outbox.undelivered(node, UUID(message.id), final=message.final)
            for failure in _failures:
                failure(node, message)
        case FromNode():
            _report(node, bytes(message.body))


def _link(node: Node, link: NodeLink) -> None:
    Node.objects.filter(pk=node.pk).update(
        up=link.up, cause=link.cause[:400], last_seen=timezone.now()
    )


def _report(node: Node, body: bytes) -> None:
    report = decode_report(body)
    if isinstance(report, NodeStatus):
        Node.objects.filter(pk=node.pk).update(
            up=True, cause="", last_seen=timezone.now(), status=msgspec.to_builtins(report)
        )
        return
    for handler in _app_reports:
        handler(node, report)


def is_enrolled(gateway: Gateway) -> bool:
    """Say whether the gateway may still speak: not after its removal or a new enrolment."""
    same = Gateway.objects.filter(pk=gateway.pk, credential_digest=gateway.credential_digest)
    return same.exists()


def gateway_connected(gateway: Gateway) -> None:
    """Send again what the gateway's last connection may have lost."""
    outbox.send_again(gateway.data_center_id)


def gateway_seen(gateway: Gateway, version: str) -> None:
    """Note that the gateway is there."""
    Gateway.objects.filter(pk=gateway.pk).update(last_seen=timezone.now(), version=version[:40])


def gateway_lost(gateway: Gateway) -> None:
    """Note that the gateway went away, and with it the way to its nodes."""
    Gateway.objects.filter(pk=gateway.pk).update(last_seen=None)
    Node.objects.filter(data_center=gateway.data_center_id).update(
        up=False, cause="The gateway of its data center is not connected."
    )
