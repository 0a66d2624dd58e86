"""The worker: slow jobs, the reconciler's healing, and regular tidying."""

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, close_old_connections

from accounts import jobs, throttle
from compute_agent.host.process import die_with_parent
from datacenters import outbox, revocation
from projects import reconciler
from projects.jobs import prune as prune_runs

log = logging.getLogger(__name__)

#: Seconds between two looks; a job waits this long at most.
EVERY = 1.0
TIDY_EVERY = 600.0


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
        tidied = 0.0
        log.info("worker ready")
        while not stop.is_set():
            try:
                work()
                if time.monotonic() - tidied > TIDY_EVERY:
                    tidied = time.monotonic()
                    tidy()
            except DatabaseError:
                log.exception("the database does not answer; trying again")
                close_old_connections()
            stop.wait(EVERY)


def work() -> None:
    """Run all jobs that are due and end the starts that will not come to anything."""
    while jobs.run_next():
        pass
    reconciler.heal()


def tidy() -> None:
    """Delete what nobody needs any more."""
    jobs.prune()
    throttle.prune()
    revocation.prune()
    outbox.prune()
    prune_runs()
