"""Commands that hang on no row of their own: kept until their node took them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from accounts.jobs import task
from compute_agent.protocol import Command, decode_command, encode

from .models import Node, NodeCommand
from .wake import wake

KEEP = timedelta(days=1)
#: What was sent within this time before a gateway connects may have been lost with its queue.
IN_DOUBT = timedelta(minutes=10)

#: Returns the command as it has to be now, or ``None`` if it would do harm by now.
Renew = Callable[[Node, Command], Command | None]
_renew: list[Renew] = []


def register(renew: Renew) -> None:
    """Connect the room that knows what became of a command that waited, or is sent again."""
    _renew.append(renew)


def send(node: Node, command: Command, *, not_again_within: timedelta | None = None) -> None:
    """Have the command delivered to the node, once it can be reached.

    ``not_again_within``: not if the same waits already or was sent so short a time ago.
    """
    if not_again_within is not None:
        same = NodeCommand.objects.filter(node=node, body=encode(command).decode())
        if same.filter(Q(sent_at=None) | Q(sent_at__gt=timezone.now() - not_again_within)).exists():
            return
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
            command = _as_of_now(row.node, decode_command(row.body.encode()))
            if command is not None:
                yield row.node, row.pk.hex, command


def _as_of_now(node: Node, command: Command | None) -> Command | None:
    for renew in _renew:
        command = renew(node, command) if command is not None else None
    return command


def undelivered(node: Node, command_id: UUID, *, final: bool) -> None:
    """Put a command back that did not reach its node; one that was refused stays done."""
    if not final:
        NodeCommand.objects.filter(pk=command_id, node=node).update(sent_at=None)


def send_again(data_center: UUID) -> None:
    """Put back what may have been lost with a gateway's connection: nobody confirms a command."""
    lately = timezone.now() - IN_DOUBT
    nodes = list(Node.objects.filter(data_center=data_center).values_list("pk", flat=True))
    NodeCommand.objects.filter(node__in=nodes, sent_at__gt=lately).update(sent_at=None)


@task("datacenters.prune_commands")
def prune() -> None:
    """Forget what was delivered a while ago."""
    NodeCommand.objects.filter(sent_at__lt=timezone.now() - KEEP).delete()
