"""From signing in to an app that ended, through the pages, on each of the three databases."""

import pytest
from django.contrib.admin import site as admin_site
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from accounts import actions as accounts
from accounts.models import AuditEntry, User
from compute_agent.protocol import AppStatus
from datacenters.models import GatewaySession, Notice
from projects import actions, reconciler, reports
from projects.models import AppInstance, Project

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ["/", "/?tab=owned", "/?tab=shared", "/?tab=public", "/explore/", "/explore/?q=load+(mira",
         "/running/", "/mira/forecast", "/mira/forecast/settings",
         "/mira/forecast/activity"]  # fmt: skip
MANAGED = ["/manage/", "/manage/apps", "/manage/apps?state=failed", "/manage/projects",
           "/manage/projects?q=mira", "/manage/users", "/manage/users?q=o&show=locked",
           "/manage/audit", "/manage/audit?actor=mira&verb=project.create&q=fore",
           "/manage/queue", "/manage/data-centers"]  # fmt: skip


def sign_in(name, password=None):
    client = Client()
    form = {"username": name, "password": password or f"{name}-Secret-1"}
    return client, client.post("/accounts/login/", form)


@pytest.fixture
def running(project, cast):
    """Mira's JupyterLab, as its node said that it runs."""
    row = actions.start_app(project, "lab", by=cast.mira)
    return say(row, "running", 1)


def say(row, state, revision, **fields):
    reports.take(row.node, AppStatus(app_id=row.pk.hex, revision=revision, state=state, **fields))
    row.refresh_from_db()
    return row


def test_a_person_signs_in_and_out_again(cast):
    client, answer = sign_in("mira")
    assert answer.status_code == 302
    assert client.get("/").status_code == 200
    client.post("/accounts/logout/")
    assert client.get("/").status_code == 302
    assert not Session.objects.exists()


def test_a_wrong_password_opens_nothing_and_is_counted(cast):
    client, answer = sign_in("mira", "wrong")
    assert answer.status_code == 422
    assert client.get("/").status_code == 302


def test_whoever_is_locked_out_is_signed_out_everywhere(cast):
    browsers = [sign_in("otto")[0] for _ in range(2)]
    accounts.lock_user(User.objects.get(username="otto"), by=cast.ada)
    assert [browser.get("/").status_code for browser in browsers] == [302, 302]
    assert Notice.objects.filter(field="user", value=cast.otto.pk.hex).exists()
    assert not GatewaySession.objects.filter(user=cast.otto.pk).exists()


def test_every_page_of_a_person_opens(running):
    client, _ = sign_in("mira")
    assert {path: client.get(path).status_code for path in PAGES} == dict.fromkeys(PAGES, 200)


def test_every_page_of_an_administrator_opens(running):
    client, _ = sign_in("ada")
    assert {path: client.get(path).status_code for path in MANAGED} == dict.fromkeys(MANAGED, 200)


def test_the_django_admin_lists_finds_and_shows_every_model(running, cast):
    accounts.create_token(cast.mira, "a script", ["api"], by=cast.mira)
    client, _ = sign_in("ada")
    for model, shown in admin_site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        search = "?q=a.(" if shown.search_fields else ""
        assert client.get(reverse(f"{name}_changelist") + search).status_code == 200, model
        if row := model._default_manager.first():
            assert client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 200, model


def test_the_django_admin_adds_a_person_through_its_form(cast):
    client, _ = sign_in("ada")
    form = {"username": "nora", "first_name": "Nora"}
    answer = client.post(reverse("admin:accounts_user_add"), form, follow=True)
    assert "/accounts/password/" in answer.content.decode()
    assert AuditEntry.objects.filter(verb="account.add", target="nora", actor_name="ada").exists()
    again = client.post(reverse("admin:accounts_user_add"), form)
    assert again.status_code == 200
    assert User.objects.filter(username="nora").count() == 1


def test_an_app_lives_and_ends_as_its_node_says(project, cast, center):
    row = actions.start_app(project, "lab", by=cast.mira)
    assert [key for _, key, _ in reconciler.due(center.row.pk)] == [row.pk.hex]
    assert list(reconciler.due(center.row.pk)) == []
    for revision, state in enumerate(["preparing", "starting", "running"], 1):
        assert say(row, state, revision).state == state
    assert say(row, "starting", 2).state == "running"  # old news
    actions.stop_app(project, "lab", by=cast.mira)
    assert say(row, "stopped", 9).state == "stopped"
    assert row.slot == row.pk.hex
    assert actions.start_app(project, "lab", by=cast.mira).pk != row.pk
    verbs = AuditEntry.objects.filter(verb__startswith="app.").order_by("at")
    assert [entry.verb for entry in verbs] == [
        "app.start", "app.ready", "app.stop", "app.end", "app.start",
    ]  # fmt: skip


def test_a_project_is_made_and_deleted_by_its_pages(cast, center):
    client, _ = sign_in("mira")
    made = client.post("/new/", {"name": "forecast", "visibility": "private", "summary": "Load"})
    assert made.status_code == 302, made.content.decode()
    assert Project.objects.get().summary == "Load"
    actions.delete_project(Project.objects.get(), by=cast.mira)
    assert not AppInstance.objects.exists()
    assert client.get("/mira/forecast").status_code == 404
