"""Whether the parts of the site work, in sentences."""

from datetime import timedelta
from ipaddress import ip_address

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Job
from datacenters.models import DataCenter, Gateway, Node

LATE = timedelta(minutes=2)
#: What the worker does every ten minutes, and for how long it may not have.
TIDIED, SILENT = "datacenters.prune_revocations", timedelta(minutes=20)


#: What everybody may know, and how it is on the machine, with its paths and addresses.
Finding = tuple[str, str]


def messages() -> list[str]:
    """Return one sentence for each part that does not work; none when all is well."""
    return [f"{fact} {cause}".strip() for fact, cause in _findings()]


def public_messages() -> list[str]:
    """Return the same without causes, which tell of machines: for those who are not asked in."""
    return list(dict.fromkeys(fact for fact, _ in _findings()))


def is_insider(request: HttpRequest) -> bool:
    """Return whether causes are shown: to administrators, and on the server's own machine."""
    if request.user.is_authenticated and request.user.is_staff:
        return True
    peer = request.META.get("REMOTE_ADDR", "")  # of the client: proxies are seen through
    try:
        return not peer or ip_address(peer).is_loopback
    except ValueError:
        return False


def _findings() -> list[Finding]:
    try:
        return [*_data_centers(), *_queue()]
    except DatabaseError as error:
        return [("The database does not answer.", str(error).partition("\n")[0])]


def _data_centers() -> list[Finding]:
    if not DataCenter.objects.exists():
        return [("No data center is enrolled.", "")]
    found = [
        (f"Gateway {row.name} is not connected.", "")
        for row in Gateway.objects.all()
        if not row.is_up
    ]
    for node in Node.objects.all():
        if not node.is_up:
            found.append((f"Node {node.name} can’t be reached.", node.cause))
        problems = node.status.get("problems", [])
        found += [(f"Node {node.name} has a problem.", problem) for problem in problems]
    return found


def _queue() -> list[Finding]:
    late = Job.objects.filter(state=Job.State.WAITING, run_at__lt=timezone.now() - LATE)
    # The worker itself adds this one, every ten minutes: without it nothing waits, and nothing is late.
    tidied = Job.objects.filter(kind=TIDIED).order_by("-created_at").first()
    silent = tidied is not None and tidied.created_at < timezone.now() - SILENT
    return [("The worker does not take jobs.", "")] if silent or late.exists() else []
