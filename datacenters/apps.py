from django.apps import AppConfig


class DatacentersConfig(AppConfig):
    name = "datacenters"
    verbose_name = "Data centers"

    def ready(self) -> None:
        from . import revocation  # noqa: F401  (connects the receivers)
