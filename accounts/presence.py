"""Noting who is here: when each person was last seen, and when their last visit ended."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from .models import User

#: ``User.last_seen`` is as exact as this: it spares a write for each request.
EXACT = timedelta(minutes=1)
#: Whoever was silent for this long comes back when they come again.
AWAY = timedelta(minutes=30)
_KEY = "last_visit"


class Presence:
    """Middleware: note people who have a page open in front of them."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _is_a_person(request) and request.user.is_authenticated:
            _note(request)
        return self.get_response(request)


def _is_a_person(request: HttpRequest) -> bool:
    """Scripts have no session, and a page that refreshes itself may have nobody before it."""
    refresh = request.method == "GET" and "HX-Request" in request.headers
    return settings.SESSION_COOKIE_NAME in request.COOKIES and not refresh


def _note(request: HttpRequest) -> None:
    now = timezone.now()
    seen = request.user.last_seen
    if _KEY not in request.session or (seen and now - seen > AWAY):
        request.session[_KEY] = (seen or now).isoformat()
    if seen is None or now - seen > EXACT:
        stale = Q(last_seen=None) | Q(last_seen__lt=now - EXACT)
        User.objects.filter(stale, pk=request.user.pk).update(last_seen=now)


def last_visit(request: HttpRequest) -> datetime:
    """Return when this person's last visit ended; now, if this is their first."""
    noted = request.session.get(_KEY)
    return datetime.fromisoformat(noted) if noted else timezone.now()
