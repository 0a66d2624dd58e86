"""Regular tasks of the worker that concern projects."""

from datetime import timedelta

from django.utils import timezone

from accounts.jobs import task

from .models import AppInstance

KEEP_ENDED = timedelta(days=30)


@task("projects.prune")
def prune() -> None:
    """Forget runs that ended long ago; what people did stays in the audit."""
    AppInstance.objects.filter(ended_at__lt=timezone.now() - KEEP_ENDED).delete()
