from django.urls import URLPattern

app_name = "datacenters"
urlpatterns: list[URLPattern] = []
