from typing import Any

from django.apps import AppConfig
from django.conf import settings

from . import databases


class AenSiteConfig(AppConfig):
    name = "aen_site"

    def __init__(self, *args: Any) -> None:
        databases.refuse_djongo(settings.DATABASES)  # before any model is read
        super().__init__(*args)
