from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from datacenters import outbox, wire

        from . import jobs, leaving, questions, reconciler, renewal, reports  # noqa: F401  (two register alone)

        wire.register(reconciler.due, reports.take, reports.undelivered)
        wire.register(questions.due, questions.take, questions.undelivered)
        outbox.register(renewal.renew)
