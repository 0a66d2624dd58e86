"""The queue of slow tasks: a table, claimed by compare-and-set, at least once, with retries.

A task is a function registered under a name. It must be idempotent: a worker that is killed in the
middle leaves its job to the next one.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from .models import Job

log = logging.getLogger(__name__)
Task = Callable[..., None]
_tasks: dict[str, Task] = {}

MAX_ATTEMPTS = 5
#: A job that has been running for longer belongs to a worker that died.
ABANDONED_AFTER = timedelta(minutes=10)
KEEP_DONE = timedelta(days=7)


def task(kind: str) -> Callable[[Task], Task]:
    """Register a function as the task ``kind``."""

    def register(function: Task) -> Task:
        _tasks[kind] = function
        return function

    return register


def enqueue(kind: str, *, run_at: datetime | None = None, **payload: Any) -> Job:
    """Add a job; it becomes visible to the worker with the transaction it was added in."""
    return Job.objects.create(kind=kind, payload=payload, run_at=run_at or timezone.now())


def repeat(kind: str, every: timedelta) -> None:
    """Add a job of that kind, unless one is under way or was added within ``every``."""
    rows = Job.objects.filter(kind=kind)
    open_ = rows.filter(state__in=[Job.State.WAITING, Job.State.RUNNING])
    if not open_.exists() and not rows.filter(created_at__gt=timezone.now() - every).exists():
        enqueue(kind)


def run_next() -> bool:
    """Run one job that is due. Returns whether there was one."""
    job = _claim()
    if job is None:
        return False
    try:
        _tasks[job.kind](**job.payload)
    except Exception as error:  # the worker must outlive any task
        log.exception("job %s failed", job.kind)
        _failed(job, error)
    else:
        _finish(job, Job.State.DONE)
    return True


def _claim() -> Job | None:
    now = timezone.now()
    Job.objects.filter(state=Job.State.RUNNING, started_at__lt=now - ABANDONED_AFTER).update(
        state=Job.State.WAITING
    )
    for job in Job.objects.filter(state=Job.State.WAITING, run_at__lte=now)[:5]:
        claimed = Job.objects.filter(pk=job.pk, state=Job.State.WAITING).update(
            state=Job.State.RUNNING, started_at=now, attempts=job.attempts + 1
        )
        if claimed:
            job.refresh_from_db()
            return job
    return None


def _failed(job: Job, error: Exception) -> None:
    if job.attempts >= MAX_ATTEMPTS:
        _finish(job, Job.State.FAILED, error=f"{type(error).__name__}: {error}")
        return
    Job.objects.filter(pk=job.pk).update(
        state=Job.State.WAITING,
        error=f"{type(error).__name__}: {error}",
        run_at=timezone.now() + timedelta(seconds=2**job.attempts),
    )


def _finish(job: Job, state: str, error: str = "") -> None:
    Job.objects.filter(pk=job.pk).update(state=state, ended_at=timezone.now(), error=error)


@task("accounts.prune_jobs")
def prune() -> None:
    """Forget jobs that ended well a while ago."""
    Job.objects.filter(state=Job.State.DONE, ended_at__lt=timezone.now() - KEEP_DONE).delete()
