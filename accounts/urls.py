"""Addresses below /accounts/."""

from django.urls import path

from .views import account, signing

app_name = "accounts"
urlpatterns = [
    path("", account.account, name="account"),
    path("login/", signing.sign_in, name="login"),
    path("logout/", signing.sign_out, name="logout"),
    path("password/<str:uid>/<str:token>/", signing.set_password, name="password"),
    path("theme", signing.theme, name="theme"),
    path("name", account.change_name, name="change-name"),
    path("password", account.change_password, name="change-password"),
    path("tokens", account.create_token, name="create-token"),
    path("tokens/<uuid:pk>/revoke", account.revoke_token, name="revoke-token"),
    path("sign-out-everywhere", account.sign_out_everywhere, name="sign-out-everywhere"),
]
