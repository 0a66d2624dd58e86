"""Regular tasks of the worker that concern projects."""

from datetime import timedelta

from django.utils import timezone

from accounts.jobs import task

from .models import AccessQuestion, AppInstance

KEEP_ENDED = timedelta(days=30)
#: Whoever asked has gone by then.
KEEP_QUESTIONS = timedelta(minutes=10)


@task("projects.prune")
def prune() -> None:
    """Forget runs that ended long ago, and questions nobody waits for; the audit stays."""
    AccessQuestion.objects.filter(asked_at__lt=timezone.now() - KEEP_QUESTIONS).delete()
    AppInstance.objects.filter(ended_at__lt=timezone.now() - KEEP_ENDED).delete()
