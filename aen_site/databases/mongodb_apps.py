"""Configurations that ``INSTALLED_APPS`` names on MongoDB; see ``mongodb``."""

from django.contrib.admin import apps as admin
from django.contrib.auth import apps as auth
from django.contrib.contenttypes import apps as contenttypes
from guardian import apps as guardian

from .mongodb import AUTO_FIELD


class AdminConfig(admin.AdminConfig):
    default_auto_field = AUTO_FIELD


class AuthConfig(auth.AuthConfig):
    default_auto_field = AUTO_FIELD


class ContentTypesConfig(contenttypes.ContentTypesConfig):
    default_auto_field = AUTO_FIELD


class GuardianConfig(guardian.GuardianConfig):
    default_auto_field = AUTO_FIELD
