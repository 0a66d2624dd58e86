from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import jobs
from accounts.models import Job
from aen_site.management.commands import aen_worker


@pytest.fixture
def done(monkeypatch):
    """A list to which the task ``note`` adds."""
    found = []

    def note(text):
        found.append(text)

    monkeypatch.setitem(jobs._tasks, "note", note)
    return found


def test_a_job_runs_once(db, done):
    jobs.enqueue("note", text="hello")
    assert jobs.run_next()
    assert not jobs.run_next()
    assert done == ["hello"]


def test_a_job_that_another_worker_claimed_is_left_alone(db, done):
    job = jobs.enqueue("note", text="hello")
    Job.objects.filter(pk=job.pk).update(state="running", started_at=timezone.now())
    assert not jobs.run_next()


def test_the_job_of_a_worker_that_died_is_taken_over(db, done):
    job = jobs.enqueue("note", text="hello")
    long_ago = timezone.now() - 2 * jobs.ABANDONED_AFTER
    Job.objects.filter(pk=job.pk).update(state="running", started_at=long_ago)
    assert jobs.run_next()
    assert done == ["hello"]


def test_a_task_that_raises_is_tried_again_later_and_its_error_kept(db, monkeypatch):
    monkeypatch.setitem(jobs._tasks, "break", lambda: 1 / 0)
    job = jobs.enqueue("break")
    jobs.run_next()
    job.refresh_from_db()
    assert (job.state, job.attempts) == ("waiting", 1)
    assert "ZeroDivisionError" in job.error
    assert job.run_at > timezone.now()


def test_a_task_that_raises_every_time_fails_for_good(db, monkeypatch):
    monkeypatch.setitem(jobs._tasks, "break", lambda: 1 / 0)
    job = jobs.enqueue("break")
    for _ in range(jobs.MAX_ATTEMPTS):
        Job.objects.update(run_at=timezone.now())
        jobs.run_next()
    job.refresh_from_db()
    assert job.state == "failed"


def test_a_repeated_job_is_added_once_within_its_time(db, done):
    jobs.repeat("note", timedelta(hours=1))
    jobs.repeat("note", timedelta(hours=1))
    assert Job.objects.count() == 1
    Job.objects.update(state="done", created_at=timezone.now() - timedelta(hours=2))
    jobs.repeat("note", timedelta(hours=1))
    assert Job.objects.filter(state="waiting").count() == 1


def test_the_workers_tidying_is_known_to_it_and_runs_through_the_queue(db):
    aen_worker.schedule()
    aen_worker.work()
    assert set(Job.objects.values_list("kind", "state")) == {
        (kind, "done") for kind in aen_worker.TIDYING
    }
