"""Configurations that ``INSTALLED_APPS`` names on MongoDB; see ``mongodb``.

They are read before any model, so that every model is seen here when it is made.
"""

from django.contrib.admin import apps as admin
from django.contrib.auth import apps as auth
from django.contrib.contenttypes import apps as contenttypes
from django.db.models import Model
from django.db.models.signals import class_prepared
from django.dispatch import receiver
from guardian import apps as guardian

from .mongodb import AUTO_FIELD, KEY


@receiver(class_prepared)
def _key_is_the_documents_own(sender: type[Model], **kwargs: object) -> None:
    """Keep every model's key where MongoDB has a key anyway, and an index that joins can use.

    Beside it the backend would make a partial index, which no join uses: each row of a list would
    cost a look at all documents that it may refer to.
    """
    if sender._meta.pk is not None:
        sender._meta.pk.column = KEY


class AdminConfig(admin.AdminConfig):
    default_auto_field = AUTO_FIELD


class AuthConfig(auth.AuthConfig):
    default_auto_field = AUTO_FIELD


class ContentTypesConfig(contenttypes.ContentTypesConfig):
    default_auto_field = AUTO_FIELD


class GuardianConfig(guardian.GuardianConfig):
    default_auto_field = AUTO_FIELD
