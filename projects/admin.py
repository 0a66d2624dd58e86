"""Projects and runs of apps in the Django admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_base import ReadOnlyAdmin

from . import actions
from .models import AppInstance, Project


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "visibility", "data_center", "node", "last_activity"]
    list_filter = ["visibility", "data_center"]
    search_fields = ["name", "owner__username", "summary"]


@admin.register(AppInstance)
class AppInstanceAdmin(ReadOnlyAdmin):
    list_display = ["app", "user", "project", "node", "state", "cause", "requested_at", "ended_at"]
    list_filter = ["state", "app", "node"]
    search_fields = ["user__username", "project__name"]
    actions = ["stop"]

    @admin.action(description="Stop", permissions=["act"])
    def stop(self, request: HttpRequest, rows: QuerySet[AppInstance]) -> None:
        self.act(request, rows, lambda row: actions.stop_instance(row.pk, by=request.user))
