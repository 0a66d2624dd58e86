"""What a pass did, and how it is ended early."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """What a pass did: counts of entries, and notes on those that are not as the rules want them.

    A note begins with the entry's path relative to the project; there are 20 at most. ``failed``
    counts entries that should have been changed and could not be.
    """

    changed: int = 0
    unchanged: int = 0
    notes: list[str] = field(default_factory=list)
    failed: int = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __str__(self) -> str:
        parts = [f"{self.unchanged:,} unchanged"]
        if self.changed:
            parts.insert(0, f"{self.changed:,} changed")
        if self.notes:
            parts.append(f"{len(self.notes)} left alone ({self.notes[0]})")
        return ", ".join(parts)


class Cancelled(Exception):
    """The pass was told to end early; what it did so far stands, and can be repeated."""
