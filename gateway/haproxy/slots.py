"""Slots: HAProxy's backends, one for each grant that it carries requests under.

What is open in a slot was opened under its grant and no other, so that shutting the slot's sessions
ends exactly what a revocation is to end.
"""

from collections.abc import Callable

from ..forwarding import Header
from ..protocol import AccessQuestion, Grant


class Slot:
    """``name``: the backend's. ``entries``: keys in HAProxy's map, and the Unix time they end."""

    def __init__(
        self, name: str, question: AccessQuestion, grant: Grant, ended: Callable[["Slot"], None]
    ) -> None:
        self.name = name
        self.question = question
        self.grant = grant
        self.entries: dict[bytes, int] = {}
        self.inject: tuple[Header, ...] | None = None
        self.strip = False
        self.learning = False
        self.revoked = False
        self.unused_since = 0.0
        self._ended = ended

    def revoke(self) -> None:
        """End what is open in it, because the grant is gone."""
        self._ended(self)


class Slots:
    """Which backends are free, and which grant each of the others is for."""

    def __init__(self) -> None:
        self.free: list[str] = []
        self.used: dict[AccessQuestion, Slot] = {}
        self.retired: list[Slot] = []

    def offer(self, names: list[str]) -> None:
        """Take the names of all backends there are; those in use stay so."""
        taken = {slot.name for slot in (*self.used.values(), *self.retired)}
        self.free = [name for name in reversed(names) if name not in taken]

    def count(self, user: str) -> int:
        """Return how many are there for grants of ``user``."""
        return sum(slot.grant.user == user for slot in (*self.used.values(), *self.retired))

    def retire(self, slot: Slot) -> None:
        """Take a slot out of use; it is free again only after ``release``."""
        if self.used.get(slot.question) is slot:
            del self.used[slot.question]
            self.retired.append(slot)

    def release(self, slot: Slot) -> None:
        """Let the slot's name be used for another grant."""
        if slot in self.retired:
            self.retired.remove(slot)
            self.free.append(slot.name)
