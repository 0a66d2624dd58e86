"""Projects and the apps people run in them."""

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from compute_agent.protocol import ENVIRONMENTS_APP
from datacenters.models import DataCenter, Node

from . import lifecycle


class Project(models.Model):
    """A folder on a node, an environment, and a team.

    The owner is a field; everyone else's role is a guardian object permission ``role_<name>`` of a
    person or of a group.
    """

    class Visibility(models.TextChoices):
        PRIVATE = "private"
        PUBLIC = "public"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="owned_projects"
    )
    name = models.CharField(max_length=32)
    visibility = models.CharField(
        max_length=7, choices=Visibility, default=Visibility.PRIVATE, db_index=True
    )
    summary = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True, max_length=20_000)
    data_center = models.ForeignKey(DataCenter, on_delete=models.PROTECT, related_name="projects")
    #: Where its directory is; chosen at the first start.
    node = models.ForeignKey(
        Node, null=True, blank=True, on_delete=models.PROTECT, related_name="projects"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_activity = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    #: Bytes on its node, as that last said.
    disk = models.BigIntegerField(null=True, editable=False)
    #: The team changed since the node last applied its permissions.
    team_changed_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: Counts the changes that took turns on this project.
    turn = models.BigIntegerField(default=0, editable=False)

    class Meta:
        ordering = ["-last_activity"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="project_name_of_owner")
        ]
        default_permissions = ()
        permissions = [
            ("role_manager", "Manager of the project"),
            ("role_editor", "Editor of the project"),
            ("role_viewer", "Viewer of the project"),
        ]

    def __str__(self) -> str:
        return f"{self.owner.username}/{self.name}"

    def get_absolute_url(self) -> str:
        return f"/{self.owner.username}/{self.name}"

    @property
    def is_public(self) -> bool:
        return self.visibility == self.Visibility.PUBLIC


class PathOverride(models.Model):
    """Rights that a person set by hand for somebody on a file or folder, and on all that is in it.

    They count for people outside the team, too. Every pass of the node applies them again.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="overrides")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="overrides"
    )
    #: Relative to the project's directory.
    path = models.TextField(max_length=4096)
    #: Stands for the path in the constraint: an index takes no text of that length.
    path_digest = models.CharField(max_length=64, editable=False)
    #: As ``ls`` shows it, for instance ``r-x``.
    access = models.CharField(max_length=3)
    set_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    set_by_name = models.CharField(max_length=150)
    set_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["path", "user__username"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user", "path_digest"], name="one_override_of_path_and_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.access} for {self.user} on {self.path[:80]} of {self.project}"


class AccessQuestion(models.Model):
    """A question to the project's node. Gone once it was answered.

    What somebody may do with a path; or which environments they see, and what is in the one that
    ``path`` names. Its id is the question id of wire 2.
    """

    class About(models.TextChoices):
        ACCESS = "access"
        ENVIRONMENTS = "environments"
        EXPORT = "export"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    path = models.TextField(max_length=4096, blank=True)
    about = models.CharField(max_length=12, choices=About, default=About.ACCESS)
    #: ``None``: the site itself, by ``manage.py``.
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+"
    )
    asked_at = models.DateTimeField(default=timezone.now, db_index=True)
    sent_at = models.DateTimeField(null=True)
    #: The ``Explanation`` or ``EnvironmentsFound`` of wire 2.
    answer = models.JSONField(null=True)
    #: Why the question did not reach the node.
    cause = models.CharField(max_length=400, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"question about {self.user} in {self.project}"


class AppInstance(models.Model):
    """One run of an app: of one person, in one project. Its id is the app id of both wires.

    A change of the project's environments is one, too: it is prepared, watched and ended alike.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="instances")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="instances"
    )
    app = models.CharField(max_length=32)
    #: Of wire 2, where this is no app but a change of environments.
    change = models.JSONField(null=True, blank=True, editable=False)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="instances")
    #: Unique while the app is active, so that a person has one of each app in a project, and a
    #: project one change of its environments; else its id.
    slot = models.CharField(max_length=120, unique=True, editable=False)

    target = models.CharField(max_length=8, default="running")
    state = models.CharField(max_length=10, default="requested", db_index=True)
    cause = models.CharField(max_length=400, blank=True)
    mend = models.CharField(max_length=400, blank=True)
    revision = models.BigIntegerField(default=0)
    #: ``[{"step", "at", "seconds", "fact"}]`` as the node reported it.
    progress = models.JSONField(default=list)
    log = models.JSONField(default=list)
    #: What it uses: bytes, and processors (1.5 is one and a half).
    memory = models.BigIntegerField(null=True)
    processors = models.FloatField(null=True)

    requested_at = models.DateTimeField(default=timezone.now)
    commanded_at = models.DateTimeField(null=True)
    reported_at = models.DateTimeField(null=True)
    running_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)
    #: When it was last used, as its node saw it, and when its person asked to keep it.
    active_at = models.DateTimeField(null=True)
    kept_at = models.DateTimeField(null=True)
    #: The node was told that it may forget this run.
    forgotten = models.BooleanField(default=False)
    #: A failure that its person has not seen or reset yet.
    dismissed = models.BooleanField(default=False)

    class Meta:
        ordering = ["-requested_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.app} of {self.user} in {self.project}"

    @staticmethod
    def slot_of(project: Project, user: object, app: str) -> str:
        return f"{project.pk.hex}/{user.pk.hex}/{app}"

    @staticmethod
    def slot_of_change(project: Project) -> str:
        return f"{project.pk.hex}/{ENVIRONMENTS_APP}"

    @property
    def is_change(self) -> bool:
        """Whether this is no app but a change of the project's environments."""
        return self.app == ENVIRONMENTS_APP

    @property
    def is_busy(self) -> bool:
        return self.state in lifecycle.BUSY

    @property
    def is_active(self) -> bool:
        return self.state in lifecycle.ACTIVE

    @property
    def path(self) -> str:
        """Path of the app on its gateway, with a slash at its end."""
        return f"{self.project.get_absolute_url()}/{self.app}/"
