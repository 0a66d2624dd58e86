"""People, tokens, audit and jobs in the Django admin."""

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth import admin as _registers_groups  # noqa: F401  (so that we can undo it)
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest

from . import actions
from .admin_base import ReadOnlyAdmin
from .errors import ActionError
from .models import ApiToken, AuditEntry, FormerName, Job, RestoreUnderWay, SignInAttempts, User

# Groups are in no page yet; edited here they would pass the actions and their audit.
admin.site.unregister(Group)


class NewUserForm(forms.ModelForm):
    """Adding a person: their name; they set the password by a link."""

    class Meta:
        model = User
        fields = ["username", "first_name"]

    def clean_username(self) -> str:
        try:
            return actions.check_new_name(self.cleaned_data["username"])
        except ActionError as error:
            raise forms.ValidationError(error.detail) from error


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ["username", "first_name", "is_staff", "is_active", "last_login"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["username", "first_name"]
    form = NewUserForm
    fields = ["username", "first_name"]
    actions = ["lock", "unlock", "make_administrator", "unmake_administrator"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._allows_actions(request)

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        if obj is None:
            return ["username", "first_name"]
        return ["username", "first_name", "unix_account", "is_staff", "is_active", "last_login"]

    def save_model(
        self, request: HttpRequest, obj: User, form: forms.ModelForm, change: bool
    ) -> None:
        made = actions.create_user(obj.username, by=request.user, full_name=obj.first_name)
        obj.pk = made.pk
        obj.__dict__.update(made.__dict__)
        link = settings.AEN_PUBLIC_URL + actions.password_link(made, by=request.user)
        self.message_user(request, f"They set their password once at: {link}", messages.WARNING)

    @admin.action(description="Lock: sign out everywhere, refuse sign-in", permissions=["act"])
    def lock(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self.act(request, rows, lambda row: actions.lock_user(row, by=request.user))

    @admin.action(description="Unlock", permissions=["act"])
    def unlock(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self.act(request, rows, lambda row: actions.unlock_user(row, by=request.user))

    @admin.action(description="Make an administrator", permissions=["act"])
    def make_administrator(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_administrator(request, rows, administrator=True)

    @admin.action(description="Make an ordinary user again", permissions=["act"])
    def unmake_administrator(self, request: HttpRequest, rows: QuerySet[User]) -> None:
        self._set_administrator(request, rows, administrator=False)

    def _set_administrator(
        self, request: HttpRequest, rows: QuerySet[User], *, administrator: bool
    ) -> None:
        self.act(
            request,
            rows,
            lambda row: actions.set_administrator(
                row, administrator=administrator, by=request.user
            ),
        )


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ["user", "name", "scopes", "created_at", "last_used_at"]
    search_fields = ["user__username", "name"]
    actions = ["revoke"]

    @admin.action(description="Revoke", permissions=["act"])
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        self.act(request, rows, lambda row: actions.revoke_token(row, by=request.user))


@admin.register(SignInAttempts)
class SignInAttemptsAdmin(ReadOnlyAdmin):
    list_display = ["count", "at", "blocked_until"]


@admin.register(FormerName)
class FormerNameAdmin(ReadOnlyAdmin):
    list_display = ["name", "at"]
    search_fields = ["name"]
    actions = ["free"]

    @admin.action(description="Free: the next one gets what is left", permissions=["act"])
    def free(self, request: HttpRequest, rows: QuerySet[FormerName]) -> None:
        self.act(request, rows, lambda row: actions.free_name(row.name, by=request.user))


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor_name", "verb", "target", "detail"]
    list_filter = ["verb"]
    search_fields = ["actor_name", "target"]


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["kind", "state", "attempts", "run_at", "ended_at", "error"]
    list_filter = ["state", "kind"]


@admin.register(RestoreUnderWay)
class RestoreUnderWayAdmin(ReadOnlyAdmin):
    list_display = ["since"]
