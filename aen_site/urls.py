"""All addresses of the server. Those of projects come last: they begin with any owner's name."""

from django.contrib import admin
from django.urls import include, path

from accounts.views import account, signing
from datacenters import oauth_views
from projects import gateway_access

from .api import api

admin.site.site_header = "AEN database"
handler500 = "aen_site.away.broken"

urlpatterns = [
    path("api/v1/", api.urls),
    path("oauth/authorize", oauth_views.authorize),
    path("oauth/token", oauth_views.token),
    path("oauth/revoke", oauth_views.revoke),
    path("gateway/access", gateway_access.ask),
    path("admin-site/login/", signing.sign_in_to_admin),
    path("admin-site/password_change/", account.account),
    path("admin-site/", admin.site.urls),
    path("accounts/", include("accounts.urls")),
    path("manage/", include("accounts.manage_urls")),
    path("manage/", include("datacenters.urls")),
    path("", include("projects.urls")),
]
