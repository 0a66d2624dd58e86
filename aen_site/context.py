"""What every page knows about the site."""

from django.conf import settings
from django.http import HttpRequest


class Site:
    """``single_account``: the account as which all apps run, or empty."""

    single_account: str = settings.AEN_SINGLE_ACCOUNT


def site(request: HttpRequest) -> dict[str, object]:
    return {"site": Site}
