from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from . import sessions, signals, throttle  # noqa: F401  (receivers and tasks)
