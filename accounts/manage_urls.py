"""Addresses below /manage/ that concern people."""

from django.urls import path

from .views import history, people

app_name = "people"
urlpatterns = [
    path("users", people.people, name="list"),
    path("users/add", people.add, name="add"),
    path("users/<str:username>/link", people.link, name="link"),
    path("users/<str:username>/lock", people.lock, name="lock"),
    path("users/<str:username>/unlock", people.unlock, name="unlock"),
    path("audit", history.audit_log, name="audit"),
]
