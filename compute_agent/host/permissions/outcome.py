"""What a pass did, and how it is ended early."""

from dataclasses import dataclass, field

_MOST_NOTES = 20


@dataclass
class Outcome:
    """What a pass did: counts of entries, and a note for each that was left alone on purpose.

    A note begins with the entry's path relative to the project.
    """

    changed: int = 0
    unchanged: int = 0
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        if len(self.notes) < _MOST_NOTES:
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
