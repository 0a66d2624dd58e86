"""Slowing down whoever guesses a password, without shutting out the person they guess for.

Attempts are counted by client address and user name together: from another address the person signs
in as ever. Only a digest of the two is kept, since people type passwords into the wrong field.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address, ip_network
from math import ceil

from django.http import HttpRequest
from django.utils import timezone

from . import audit
from .jobs import task
from .models import SignInAttempts, User
from .secrets import digest

#: Attempts without a pause; after these each one doubles it.
FREE = 5
LONGEST = timedelta(minutes=15)
#: After a day of quiet one begins anew.
FORGET = timedelta(days=1)

# A hash takes 100 MB by design: a flood of sign-ins must not take all memory.
_hashing = threading.BoundedSemaphore(2)


def attempt(request: HttpRequest, username: str) -> int:
    """Count an attempt that is about to be made. Returns the seconds to wait first, 0 for none.

    It is counted before the password is looked at, so that a hundred at once do not all pass.
    """
    client = client_of(request)
    while True:
        row, _ = SignInAttempts.objects.get_or_create(
            key=_key(client, username), defaults={"at": timezone.now()}
        )
        now = timezone.now()  # later than what was read
        if row.blocked_until and row.blocked_until > now:
            return ceil((row.blocked_until - now).total_seconds())
        count = 1 if now - row.at > FORGET else row.count + 1
        unchanged = SignInAttempts.objects.filter(pk=row.pk, count=row.count, at=row.at)
        if unchanged.update(count=count, at=now, blocked_until=now + _pause(count)):
            break
    if count == FREE:
        _audit(client, username)
    return 0


def succeeded(request: HttpRequest, username: str) -> None:
    """Forget the attempts of this client: the person knew the password."""
    SignInAttempts.objects.filter(key=_key(client_of(request), username)).delete()


@contextmanager
def one_of_few() -> Iterator[None]:
    """Check a password inside this block: few are checked at a time, the others wait."""
    with _hashing:
        yield


@task("accounts.prune_throttle")
def prune() -> None:
    """Forget those who have given up."""
    SignInAttempts.objects.filter(at__lt=timezone.now() - FORGET).delete()


def client_of(request: HttpRequest) -> str:
    """Return the client's address; of IPv6 its network, since one client has a whole one.

    Behind a trusted proxy it is what that says: the site's middleware has seen to it.
    """
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    if peer is not None and peer.version == 6:
        return str(ip_network((peer, 64), strict=False))
    return str(peer or "")


def _address(text: str) -> object:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _key(client: str, username: str) -> str:
    return digest(f"{client}\n{username}")


def _pause(count: int) -> timedelta:
    if count < FREE:
        return timedelta()
    return min(timedelta(seconds=2 ** min(count - FREE, 30)), LONGEST)


def _audit(client: str, username: str) -> None:
    known = User.objects.filter(username=username).exists()
    target = username if known else "an unknown user name"
    audit.record("account.sign_in_slowed", target, by=None, client=client)
