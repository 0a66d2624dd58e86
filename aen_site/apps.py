from django.apps import AppConfig


class AenSiteConfig(AppConfig):
    name = "aen_site"
