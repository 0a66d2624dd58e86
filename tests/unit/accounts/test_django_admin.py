"""The Django admin: every model is there, and what it changes goes through the actions."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from accounts.models import AuditEntry, User

OURS = [
    m
    for name in ("accounts", "datacenters", "projects")
    for m in apps.get_app_config(name).get_models()
]


@pytest.fixture
def as_ada(client, cast):
    client.force_login(cast.ada, backend="django.contrib.auth.backends.ModelBackend")
    return client


def page(model, which="changelist", *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{which}", args=args)


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_every_model_can_be_looked_at(as_ada, project, model):
    assert model in admin.site._registry
    assert as_ada.get(page(model)).status_code == 200


@pytest.mark.parametrize("model", [m for m in OURS if m is not User], ids=lambda m: m.__name__)
def test_only_people_are_added_there(as_ada, model):
    assert as_ada.get(page(model, "add")).status_code == 403


def test_adding_a_person_is_audited_and_shows_their_link_once(as_ada):
    answer = as_ada.post(page(User, "add"), {"username": "nora", "first_name": "Nora"}, follow=True)
    assert "/accounts/password/" in answer.content.decode()
    assert AuditEntry.objects.filter(verb="account.add", target="nora", actor_name="ada").exists()


def test_a_bad_name_is_an_error_on_the_form(as_ada):
    answer = as_ada.post(page(User, "add"), {"username": "root"})
    assert "reserved" in answer.content.decode()
    assert not User.objects.filter(username="root").exists()


def test_locking_is_the_same_action_as_elsewhere(as_ada, cast):
    form = {"action": "lock", "_selected_action": [str(cast.otto.pk)]}
    as_ada.post(page(User), form)
    cast.otto.refresh_from_db()
    assert not cast.otto.is_active
    assert AuditEntry.objects.filter(verb="account.lock", target="otto").exists()


def test_staff_without_superuser_can_neither_look_nor_lock(client, cast):
    User.objects.filter(pk=cast.otto.pk).update(is_staff=True)
    client.force_login(cast.otto, backend="django.contrib.auth.backends.ModelBackend")
    client.post(page(User), {"action": "lock", "_selected_action": [str(cast.mira.pk)]})
    cast.mira.refresh_from_db()
    assert cast.mira.is_active
