"""What was found and done, in a form that passes from one process to another."""

from typing import Any

from compute_agent.host.permissions.policy import Context

_MOST_NOTES = 20


class Tally:
    """Counts and findings of a part of a pass.

    ``learned`` are (inode, digest) of directories in which all is right, ``linked`` the files
    whose other links have to be found first: (path, inode, context).
    """

    def __init__(self) -> None:
        self.looked_at = 0
        self.changed = 0
        self.unchanged = 0
        self.failed = 0
        self.notes: list[str] = []
        self.learned: list[tuple[int, bytes]] = []
        self.linked: list[tuple[bytes, int, Context]] = []

    def note(self, path: bytes, text: str) -> None:
        """Take down why the entry at ``path`` is not as the rules want it."""
        if len(self.notes) < _MOST_NOTES:
            self.notes.append(f"{printable(path)} {text}")

    def add(self, message: dict[str, Any]) -> None:
        """Add what another process sent."""
        for name, value in message.items():
            setattr(self, name, getattr(self, name) + value)
        del self.notes[_MOST_NOTES:]

    def message(self) -> dict[str, Any]:
        """Return all of it as plain types, and begin anew."""
        sent = dict(vars(self))
        self.__init__()  # type: ignore[misc]
        return sent


def printable(path: bytes) -> str:
    """Return ``path`` on one line, whatever bytes it has."""
    return ascii(path.decode("utf-8", "surrogateescape"))[1:-1] or "the project's directory"
