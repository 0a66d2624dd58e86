"""People, their tokens, what was done (audit) and what is still to do (jobs)."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone


class User(AbstractUser):
    """A person. Their user name is also the owner part of URLs and, unless mapped, their account."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    unix_account = models.CharField(
        max_length=32, unique=True, help_text="The UNIX account under which this person's apps run."
    )
    last_seen = models.DateTimeField(null=True, blank=True, editable=False)
    #: Counts the changes that took turns on this person.
    turn = models.BigIntegerField(default=0, editable=False)

    class Meta(AbstractUser.Meta):
        ordering = ["username"]

    def save(self, *args: object, **kwargs: object) -> None:
        self.unix_account = self.unix_account or self.username
        super().save(*args, **kwargs)

    @property
    def full_name(self) -> str:
        return self.get_full_name() or self.username

    @property
    def initials(self) -> str:
        return self.username[:2].upper()


class FormerName(models.Model):
    """The name of somebody who was removed. Nodes may still have their account and their files,
    so nobody else gets it until an administrator frees it."""

    name = models.CharField(primary_key=True, max_length=32, editable=False)
    at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiToken(models.Model):
    """A token for scripts. Only a digest is kept: a stolen backup opens nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} of {self.user}"


class SignInAttempts(models.Model):
    """How often one client tried to sign in as one user name. Kept as a digest of the two."""

    key = models.CharField(primary_key=True, max_length=64, editable=False)
    count = models.PositiveIntegerField(default=0)
    at = models.DateTimeField(db_index=True)
    blocked_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "sign-in attempts"

    def __str__(self) -> str:
        return f"{self.count} attempts"


class AuditEntry(models.Model):
    """One act: who, what, on what. Rows outlive the people and things that they name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=150)
    verb = models.CharField(max_length=40, db_index=True)
    target = models.CharField(max_length=200)
    project_id = models.UUIDField(null=True, db_index=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-at"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.target}"


class Job(models.Model):
    """A slow task for the worker. Claimed by compare-and-set, so that two workers never share it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING, db_index=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    run_at = models.DateTimeField(default=timezone.now, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["run_at"]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


class RestoreUnderWay(models.Model):
    """There while a restore is, and after one that was broken off: the database holds a part of it.

    Only where no transaction holds all of a restore, on MongoDB, does anybody ever see it.
    """

    name = models.CharField(primary_key=True, max_length=8, default="restore", editable=False)
    since = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"restore since {self.since}"
