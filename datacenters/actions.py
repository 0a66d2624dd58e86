"""Every change to data centers, gateways and nodes, audited."""

import re
from urllib.parse import urlsplit

from django.http import Http404

from accounts import audit, names
from accounts.errors import Conflict, Invalid
from accounts.models import User
from accounts.secrets import digest, new_secret
from accounts.transactions import atomic, retried
from gateway.protocol.origins import wrong_star

from .models import DataCenter, Gateway, Node
from .placement import hold
from .wake import wake

_PLAIN = re.compile(r"https?://(?:\*\.)?[A-Za-z0-9.:\[\]_/~-]+")


@retried
def ensure_data_center(name: str, *, by: User | None) -> DataCenter:
    """Return the data center of that name, made if there is none."""
    names.check("data center", name)
    with atomic():
        row, made = DataCenter.objects.get_or_create(name=name)
        if made:
            audit.record("data_center.add", name, by=by)
    return row


@retried
def enroll_gateway(
    name: str, data_center: DataCenter, url: str, *, by: User | None
) -> tuple[Gateway, str]:
    """Return the gateway's row and its new credential, which is shown once.

    Enrolling a gateway again gives it a new credential and ends the old one.
    """
    names.check("name", name)
    url = _address(url)
    credential = new_secret()
    with atomic():
        row, _ = Gateway.objects.update_or_create(
            name=name,
            defaults={
                "data_center": data_center,
                "url": url,
                "credential_digest": digest(credential),
            },
        )
        audit.record("gateway.enroll", name, by=by, url=url)
    return row, credential


def _address(url: str) -> str:
    """Return ``url`` if browsers can be sent there; every page names it in a header, too."""
    url = url.rstrip("/")
    try:
        parts = urlsplit(url)
        plain = _PLAIN.fullmatch(url) and parts.hostname and parts.username is None
        parts.port  # noqa: B018  (raises for one that is no number)
    except ValueError:
        plain = False
    if not plain:
        raise Invalid(
            "url",
            "A gateway’s address is http://host:port or https://host:port, or with a name for each "
            "app https://*.host:port.",
        )
    if cause := wrong_star(url):
        raise Invalid("url", cause)
    return url


@retried
def move_gateway(gateway: Gateway, url: str, *, by: User | None) -> None:
    """Note that browsers reach the gateway by another address."""
    url = _address(url)
    if gateway.url == url:
        return
    with atomic():
        gateway.url = url
        gateway.save(update_fields=["url"])
        audit.record("gateway.move", gateway.name, by=by, url=url)


@retried
def enroll_node(
    name: str, data_center: DataCenter, address: str, *, by: User | None, description: str = ""
) -> Node:
    """Add a node, or change where its gateway finds it."""
    names.check("name", name)
    if not address.startswith(("unix:/", "https://")):
        raise Invalid("address", "A node’s address is unix:/path or https://host:5002.")
    with atomic():
        row, _ = Node.objects.update_or_create(
            name=name,
            defaults={
                "data_center": data_center,
                "address": address,
                "description": description[:200],
            },
        )
        audit.record("node.enroll", name, by=by, address=address)
        wake()
    return row


@retried
def drain_node(node: Node, *, drain: bool, by: User | None) -> None:
    """Take no new projects on this node (what runs goes on), or take them again."""
    with atomic():
        node.state = Node.State.DRAINING if drain else Node.State.ACTIVE
        node.save(update_fields=["state"])
        audit.record("node.drain" if drain else "node.activate", node.name, by=by)


@retried
def remove_gateway(gateway: Gateway, *, by: User | None) -> None:
    """Remove a gateway: its credential and what people opened through it end at once."""
    with atomic():
        audit.record("gateway.remove", gateway.name, by=by)
        gateway.delete()


@retried
def remove_node(node: Node, *, by: User | None) -> None:
    """Remove a node; one that holds projects or running apps stays, with the reason."""
    with atomic():
        if not hold(node):  # else a first start may choose it this moment
            raise Http404
        if node.projects.exists():
            raise Conflict(f"{node.name} still holds projects. Delete them first.")
        if node.instances.filter(ended_at=None).exists():
            raise Conflict(f"Apps still run on {node.name}. Stop them first.")
        audit.record("node.remove", node.name, by=by)
        node.instances.exclude(ended_at=None).delete()
        node.delete()
        wake()
