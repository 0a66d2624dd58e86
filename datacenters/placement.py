"""Choosing the node of a data center on which a project lives."""

from django.db.models import F

from .models import DataCenter, Node


def default_data_center() -> DataCenter | None:
    """Return the data center of projects that name none: the oldest."""
    return DataCenter.objects.order_by("created_at").first()


def choose_node(data_center: DataCenter) -> Node | None:
    """Return the node with the most free memory that takes new work, or ``None``."""
    nodes = Node.objects.filter(data_center=data_center, state=Node.State.ACTIVE, up=True)
    return max((node for node in nodes if node.is_up), key=_free_memory, default=None)


def hold(node: Node) -> bool:
    """Keep a node from being removed until the transaction ends. Returns whether it is there."""
    return Node.objects.filter(pk=node.pk).update(turn=F("turn") + 1) > 0


def _free_memory(node: Node) -> int:
    return node.status.get("memory_total", 0) - node.status.get("memory_used", 0)


def why_no_node(data_center: DataCenter) -> str:
    """Say in one sentence why ``choose_node`` found none."""
    nodes = list(Node.objects.filter(data_center=data_center))
    if not nodes:
        return f"The data center {data_center} has no node yet. An administrator can add one."
    if all(node.state == Node.State.DRAINING for node in nodes):
        return f"All nodes of {data_center} are being emptied for maintenance."
    causes = {f"{node}: {node.cause or 'not connected'}" for node in nodes if not node.is_up}
    return f"No node of {data_center} can be reached ({'; '.join(sorted(causes))})."
