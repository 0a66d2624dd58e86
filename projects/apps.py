from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from datacenters import wire

        from . import jobs, leaving, reconciler, reports  # noqa: F401  (these register themselves)

        wire.register(reconciler.due, reports.take, reports.undelivered)
