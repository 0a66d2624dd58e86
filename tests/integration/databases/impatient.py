"""An app that makes the server's own patience short, so that a test outlasts all of it."""

from datetime import timedelta

from django.apps import AppConfig

#: Seconds after which each of these is over.
LONGEST = 8


class Impatient(AppConfig):
    name = "tests.integration.databases.impatient"
    path = "/nonexistent"

    def ready(self):
        from datacenters import consumers, models
        from projects import reconciler

        models.SILENCE = timedelta(seconds=LONGEST)
        consumers.NOTE_EVERY = 0.5
        reconciler.RESEND = timedelta(seconds=1)
        reconciler.UNREACHABLE = timedelta(seconds=2)
