from django.apps import AppConfig


class ProjectsConfig(AppConfig):
    name = "projects"

    def ready(self) -> None:
        from datacenters import wire

        from . import jobs, reconciler, reports  # noqa: F401  (jobs registers its tasks)

        wire.register(reconciler.due, reports.take, reports.undelivered)
