"""Whether the parts of the site work, in sentences."""

from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from accounts.models import Job
from datacenters.models import DataCenter, Gateway, Node

LATE = timedelta(minutes=2)


def messages() -> list[str]:
    """Return one sentence for each part that does not work; none when all is well."""
    try:
        return [*_data_centers(), *_queue()]
    except DatabaseError as error:
        return [f"The database does not answer: {type(error).__name__}."]


def _data_centers() -> list[str]:
    if not DataCenter.objects.exists():
        return ["No data center is enrolled."]
    found = [
        f"Gateway {row.name} is not connected." for row in Gateway.objects.all() if not row.is_up
    ]
    for node in Node.objects.all():
        if not node.is_up:
            found.append(f"Node {node.name} can’t be reached. {node.cause}".strip())
        found += [f"Node {node.name}: {problem}" for problem in node.status.get("problems", [])]
    return found


def _queue() -> list[str]:
    late = Job.objects.filter(state=Job.State.WAITING, run_at__lt=timezone.now() - LATE)
    return ["The worker does not take jobs."] if late.exists() else []
