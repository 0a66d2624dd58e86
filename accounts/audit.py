"""Writing down who did what. Called by actions, inside their transaction."""

from typing import Any
from uuid import UUID

from .models import AuditEntry, User


def record(
    verb: str, target: str, *, by: User | None, project: UUID | None = None, **detail: Any
) -> AuditEntry:
    """Add one audit entry. ``by=None`` is the system itself; ``detail`` must hold no secrets."""
    return AuditEntry.objects.create(
        actor=by,
        actor_name=by.username if by else "system",
        verb=verb,
        target=target[:200],
        project_id=project,
        detail=detail,
    )
