"""Commands that hang on no row of their own: kept until their node took them."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from compute_agent.protocol import Command, decode_command, encode

from .models import Node, NodeCommand
from .wake import wake

KEEP = timedelta(days=1)


def send(node: Node, command: Command) -> None:
    """Have the command delivered to the node, once it can be reached."""
    NodeCommand.objects.create(node=node, body=encode(command).decode())
    wake()


def due(data_center: UUID) -> Iterator[tuple[Node, str, Command]]:
    """Yield what waits for nodes of the data center that are up, and note it as sent."""
    waiting = NodeCommand.objects.filter(
        sent_at=None, node__data_center=data_center, node__up=True
    ).select_related("node")
    for row in waiting[:100]:
        claimed = NodeCommand.objects.filter(pk=row.pk, sent_at=None)
        if claimed.update(sent_at=timezone.now()):
            yield row.node, row.pk.hex, decode_command(row.body.encode())


def undelivered(command_id: UUID, *, final: bool) -> None:
    """Put a command back that did not reach its node; one that was refused stays done."""
    if not final:
        NodeCommand.objects.filter(pk=command_id).update(sent_at=None)


def prune() -> None:
    """Forget what was delivered a while ago."""
    NodeCommand.objects.filter(sent_at__lt=timezone.now() - KEEP).delete()
