"""Addresses below /manage/ that concern data centers."""

from django.urls import path

from . import views

app_name = "datacenters"
urlpatterns = [
    path("data-centers", views.data_centers, name="list"),
    path("nodes/<str:name>/drain", views.drain, name="drain"),
    path("nodes/<str:name>/activate", views.activate, name="activate"),
]
