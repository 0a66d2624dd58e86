"""Data centers, their gateway and nodes, and what people opened through gateways."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.names import PATTERN
from gateway.protocol import origins

#: A gateway or node that was silent for longer counts as away.
SILENCE = timedelta(seconds=20)


class DataCenter(models.Model):
    """A gateway with its nodes. Every project belongs to one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=32, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return self.name


class Gateway(models.Model):
    """The reverse proxy of a data center; also the OAuth client as which it signs people in."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    data_center = models.ForeignKey(DataCenter, on_delete=models.PROTECT, related_name="gateways")
    name = models.CharField(max_length=32, unique=True)
    #: ``https://*.apps.example`` where each app has a name of its own.
    url = models.URLField(help_text="The address under which browsers reach it.")
    credential_digest = models.CharField(max_length=64, unique=True, editable=False)
    last_seen = models.DateTimeField(null=True, editable=False)
    version = models.CharField(max_length=40, blank=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_up(self) -> bool:
        return self.last_seen is not None and timezone.now() - self.last_seen < SILENCE

    @property
    def own_url(self) -> str:
        """Where its own pages are, sign-in among them."""
        return origins.own_address(self.url)

    @property
    def has_origins(self) -> bool:
        """Whether each app has an origin of its own there."""
        return origins.has_origins(self.url)

    def address(self, path: str) -> str:
        """Return where browsers find ``path``, which begins with an app's ``/owner/project/app/``."""
        return origins.app_address(self.url, path)


class Node(models.Model):
    """A machine on which projects live and apps run."""

    class State(models.TextChoices):
        ACTIVE = "active"
        DRAINING = "draining"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    data_center = models.ForeignKey(DataCenter, on_delete=models.PROTECT, related_name="nodes")
    name = models.CharField(max_length=32, unique=True)
    address = models.CharField(
        max_length=200, help_text="unix:/path on the gateway’s own host, else https://host:5002"
    )
    description = models.CharField(max_length=200, blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    up = models.BooleanField(default=False, editable=False)
    #: Why it can't be reached, as the gateway said it.
    cause = models.CharField(max_length=400, blank=True, editable=False)
    last_seen = models.DateTimeField(null=True, editable=False)
    #: The last ``NodeStatus`` of wire 2.
    status = models.JSONField(default=dict, editable=False)
    #: Counts the changes that took turns on this node.
    turn = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_up(self) -> bool:
        fresh = self.last_seen is not None and timezone.now() - self.last_seen < SILENCE
        return self.up and fresh

    @property
    def is_gone(self) -> bool:
        """Silent for so long that a start would only wait."""
        return self.last_seen is None or timezone.now() - self.last_seen > SILENCE

    @property
    def offers(self) -> list[dict[str, Any]]:
        """The apps of its catalog: ``name``, ``title``, ``icon``, ``landing``.

        A node says what it likes; only a name that can stand in an address is an app's.
        """
        return [app for app in self.status.get("apps", []) if PATTERN.fullmatch(app["name"])]


class SignInCode(models.Model):
    """An OAuth authorization code: a minute between the browser and the gateway."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session = models.CharField(max_length=64)
    redirect_uri = models.URLField(max_length=400)
    code_challenge = models.CharField(max_length=128)
    code_challenge_method = models.CharField(max_length=8)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"code for {self.user} at {self.gateway}"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return "apps"


class GatewaySession(models.Model):
    """A browser signed in at a gateway. ``session`` ties it to the server's session it came from."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    gateway = models.ForeignKey(Gateway, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    session = models.CharField(max_length=64, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.user} at {self.gateway}"


class Notice(models.Model):
    """Something every connected gateway must hear at once, whichever process it came from.

    A gateway that is away needs none: it forgets all grants before it comes back.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    field = models.CharField(max_length=16)
    value = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"revoke {self.field} {self.value}"


class NodeCommand(models.Model):
    """A command for a node that hangs on no other row: it waits here until it was delivered."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="commands")
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now, db_index=True)
    sent_at = models.DateTimeField(null=True, db_index=True)

    class Meta:
        ordering = ["created_at"]

    def __str__(self) -> str:
        return f"command for {self.node}"
