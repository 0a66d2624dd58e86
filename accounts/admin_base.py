"""The Django admin shows everything and changes little: what it changes goes through the actions."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from .errors import ActionError


class ReadOnlyAdmin(admin.ModelAdmin):
    """A model to look at. Subclasses add what may be done as admin actions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def _allows_actions(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.is_superuser

    # Admin actions declare ``permissions=["act"]``.
    has_act_permission = _allows_actions

    def act(self, request: HttpRequest, rows: QuerySet[Any], action: Any) -> None:
        """Call ``action`` for each row and show what was refused."""
        done = 0
        for row in rows:
            try:
                action(row)
                done += 1
            except ActionError as error:
                self.message_user(request, f"{row}: {error.detail}", messages.ERROR)
        self.message_user(request, f"Done for {done}.")
