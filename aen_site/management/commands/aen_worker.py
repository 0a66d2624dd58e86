"""The worker: slow jobs, the reconciler's healing, and regular tidying."""

import logging
import os
import signal
import threading
import time
from datetime import timedelta
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, Error, close_old_connections

from accounts import jobs
from accounts.transactions import AWAY
from aen_site.backup.site import Refused, refuse_a_part
from compute_agent.host.process import die_with_parent
from projects import reconciler

log = logging.getLogger(__name__)

#: Seconds between two looks; a job waits this long at most.
EVERY = 1.0
SCHEDULE_EVERY = 60.0
#: What is tidied, and how often. As jobs, so that what goes wrong is tried again and can be seen.
TIDYING = {
    "accounts.prune_jobs": timedelta(hours=1),
    "accounts.prune_throttle": timedelta(hours=1),
    "accounts.prune_sessions": timedelta(hours=6),
    "datacenters.prune_revocations": timedelta(minutes=10),
    "datacenters.prune_commands": timedelta(hours=1),
    "projects.prune": timedelta(hours=6),
}


class Command(BaseCommand):
    help = "Run slow jobs and heal what lost messages left behind, until told to stop."

    def handle(self, **options: Any) -> None:
        if os.environ.get("AEN_SUPERVISED") == "1":
            die_with_parent()
        stop = threading.Event()

        def end(signum: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        look_again = 0.0
        _refuse_a_part()
        log.info("worker ready")
        while not stop.is_set():
            try:
                if time.monotonic() >= look_again:
                    schedule()
                    look_again = time.monotonic() + SCHEDULE_EVERY
                work()
            except AWAY as error:
                log.warning("the database does not answer; trying again: %s", str(error).strip())
                reconciler.database_was_away()
                close_old_connections()
            except DatabaseError:
                log.exception("the database refused something; trying again")
                close_old_connections()
            stop.wait(EVERY)


def _refuse_a_part() -> None:
    try:
        refuse_a_part()
    except Refused as refusal:
        raise CommandError(str(refusal)) from refusal
    except Error:
        return  # the work below says so, and waits


def schedule() -> None:
    """Add the tidying that is due to the queue."""
    for kind, every in TIDYING.items():
        jobs.repeat(kind, every)


def work() -> None:
    """Run all jobs that are due and end the starts that will not come to anything."""
    while jobs.run_next():
        pass
    reconciler.heal()
