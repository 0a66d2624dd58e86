"""Projects, rights set by hand, questions on rights, and runs of apps in the Django admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_base import ReadOnlyAdmin

from . import actions
from .models import AccessQuestion, AppInstance, PathOverride, Project


@admin.register(Project)
class ProjectAdmin(ReadOnlyAdmin):
    list_display = ["name", "owner", "visibility", "data_center", "node", "last_activity"]
    list_filter = ["visibility", "data_center"]
    search_fields = ["name", "owner__username", "summary"]


@admin.register(PathOverride)
class PathOverrideAdmin(ReadOnlyAdmin):
    list_display = ["path", "user", "access", "project", "set_by_name", "set_at"]
    list_select_related = ["user", "project__owner"]
    search_fields = ["path", "user__username", "project__name"]


@admin.register(AccessQuestion)
class AccessQuestionAdmin(ReadOnlyAdmin):
    list_display = ["asked_at", "asked_by", "project", "user", "node", "sent_at", "cause"]
    list_select_related = ["asked_by", "project__owner", "user", "node"]


@admin.register(AppInstance)
class AppInstanceAdmin(ReadOnlyAdmin):
    list_display = ["app", "user", "project", "node", "state", "cause", "requested_at", "ended_at"]
    list_filter = ["state", "app", "node"]
    search_fields = ["user__username", "project__name"]
    actions = ["stop"]

    @admin.action(description="Stop", permissions=["act"])
    def stop(self, request: HttpRequest, rows: QuerySet[AppInstance]) -> None:
        self.act(request, rows, lambda row: actions.stop_instance(row.pk, by=request.user))
