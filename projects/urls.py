"""Addresses of pages: lists first, then the administrators' part, last whatever begins with an owner."""

from django.urls import include, path, register_converter

from accounts.names import PATTERN

from .views import environments, lists, manage, permissions, project, settings


class Name:
    """The name of an owner, a project or an app."""

    regex = PATTERN.pattern

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Environment(Name):
    """The name of an environment; of one that can't be, the page says so."""

    regex = r"[A-Za-z0-9_-]{1,64}"


register_converter(Name, "name")
register_converter(Environment, "environment")

_manage = [
    path("", manage.dashboard, name="manage"),
    path("apps", manage.apps, name="manage-apps"),
    path("apps/<uuid:pk>/stop", manage.stop, name="manage-stop"),
    path("projects", manage.projects, name="manage-projects"),
    path("queue", manage.queue, name="manage-queue"),
]

_PROJECT = "<name:owner>/<name:name>"
_PERMISSIONS = f"{_PROJECT}/permissions"
_SETTINGS = f"{_PROJECT}/settings"
_ENVIRONMENTS = f"{_PROJECT}/environments"
_ENVIRONMENT = f"{_ENVIRONMENTS}/<environment:environment>"
_CHANGES = f"{_PROJECT}/environment-changes"
_project = [
    path(_PROJECT, project.project, name="project"),
    path(f"{_PROJECT}/", project.slash),
    path(f"{_PROJECT}/workspace", project.part, name="workspace"),
    path(f"{_PROJECT}/activity", project.activity, name="activity"),
    path(f"{_PROJECT}/apps/stop", project.stop_all, name="stop-all"),
    path(f"{_PROJECT}/apps/<name:app>/start", project.start, name="start"),
    path(f"{_PROJECT}/apps/<name:app>/stop", project.stop, name="stop"),
    path(f"{_PROJECT}/apps/<name:app>/keep", project.keep, name="keep"),
    path(f"{_PROJECT}/apps/<name:app>/reset", project.reset, name="reset"),
    path(_PERMISSIONS, permissions.permissions, name="permissions"),
    path(f"{_PERMISSIONS}/set", permissions.set_override, name="set-override"),
    path(f"{_PERMISSIONS}/clear", permissions.clear_override, name="clear-override"),
    path(f"{_PERMISSIONS}/suggest", permissions.suggest, name="suggest-for-files"),
    path(_ENVIRONMENTS, environments.index, name="environments"),
    path(_ENVIRONMENT, environments.one, name="environment"),
    path(f"{_ENVIRONMENT}/install", environments.install, name="install-packages"),
    path(f"{_ENVIRONMENT}/remove", environments.remove, name="remove-packages"),
    path(f"{_ENVIRONMENT}/copy", environments.copy, name="copy-environment"),
    path(f"{_ENVIRONMENT}/delete", environments.delete, name="delete-environment"),
    path(f"{_ENVIRONMENT}/export", environments.export, name="export-environment"),
    path(_CHANGES, environments.change, name="environment-change"),
    path(f"{_CHANGES}/<uuid:pk>/cancel", environments.cancel, name="cancel-change"),
    path(f"{_CHANGES}/<uuid:pk>/dismiss", environments.dismiss, name="dismiss-change"),
    path(_SETTINGS, settings.general, name="settings"),
    path(f"{_SETTINGS}/preview", settings.preview, name="preview"),
    path(f"{_SETTINGS}/team", settings.team, name="team"),
    path(f"{_SETTINGS}/team/add", settings.add_member, name="add-member"),
    path(f"{_SETTINGS}/team/suggest", settings.suggest, name="suggest"),
    path(f"{_SETTINGS}/team/<str:username>/role", settings.change_role, name="change-role"),
    path(f"{_SETTINGS}/team/<str:username>/remove", settings.remove_member, name="remove-member"),
    path(f"{_SETTINGS}/visibility", settings.visibility, name="visibility"),
    path(f"{_SETTINGS}/data-center", settings.place, name="place"),
    path(f"{_SETTINGS}/delete", settings.delete, name="delete"),
]

app_name = "projects"
urlpatterns = [
    path("", lists.home, name="home"),
    path("explore/", lists.explore, name="explore"),
    path("running/", lists.running, name="running"),
    path("new/", lists.new, name="new"),
    path("manage/", include(_manage)),
    *_project,
]
