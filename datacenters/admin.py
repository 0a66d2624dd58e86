"""Data centers, gateways and nodes in the Django admin."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_base import ReadOnlyAdmin

from . import actions
from .models import DataCenter, Gateway, GatewaySession, Node, NodeCommand, Notice, SignInCode


@admin.register(DataCenter)
class DataCenterAdmin(ReadOnlyAdmin):
    list_display = ["name", "created_at"]


@admin.register(Gateway)
class GatewayAdmin(ReadOnlyAdmin):
    list_display = ["name", "data_center", "url", "last_seen", "version"]
    exclude = ["credential_digest"]


@admin.register(Node)
class NodeAdmin(ReadOnlyAdmin):
    list_display = ["name", "data_center", "address", "state", "up", "cause", "last_seen"]
    actions = ["drain", "activate"]

    @admin.action(description="Drain: take no new projects", permissions=["act"])
    def drain(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        self.act(request, rows, lambda row: actions.drain_node(row, drain=True, by=request.user))

    @admin.action(description="Take new projects again", permissions=["act"])
    def activate(self, request: HttpRequest, rows: QuerySet[Node]) -> None:
        self.act(request, rows, lambda row: actions.drain_node(row, drain=False, by=request.user))


@admin.register(GatewaySession)
class GatewaySessionAdmin(ReadOnlyAdmin):
    list_display = ["user", "gateway", "created_at", "expires_at"]
    search_fields = ["user__username"]
    exclude = ["digest", "session"]


@admin.register(SignInCode)
class SignInCodeAdmin(ReadOnlyAdmin):
    list_display = ["user", "gateway", "created_at"]
    exclude = ["digest", "session", "code_challenge"]


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["at", "field", "value"]


@admin.register(NodeCommand)
class NodeCommandAdmin(ReadOnlyAdmin):
    list_display = ["node", "created_at", "sent_at"]
