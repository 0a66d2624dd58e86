"""A whole pass, in two parts: what a person waits for, and the rest."""

import threading
from pathlib import Path

from compute_agent.host.permissions.outcome import Outcome
from compute_agent.host.permissions.rules import Rules
from compute_agent.host.permissions.walk import Walk


class Pass:
    """One pass over the open project ``directory``, which stays the caller's to close.

    ``known`` is a file below a directory that only the node may write: what an earlier pass found
    to be right is remembered there. All methods raise ``HostError`` where the file system has no
    ACLs and the team needs them, and ``OSError`` for a disk that fails.
    """

    def __init__(self, directory: int, rules: Rules, known: Path | None = None) -> None:
        self._walk = Walk(directory, rules, threading.Event())
        #: Entries looked at so far; may be read from another thread.
        self.looked_at = 0

    def first(self, seconds: float) -> bool:
        """Do what fits into ``seconds``, outermost entries first; say whether that was all.

        The project's directory itself is always done.
        """
        return False

    def rest(self, cancelled: threading.Event | None = None) -> Outcome:
        """Do all that is left, and return what was done in both parts. Raises ``Cancelled``."""
        if cancelled is not None:
            self._walk.cancelled = cancelled
        return self._walk.run()


def secure(
    directory: int,
    rules: Rules,
    cancelled: threading.Event | None = None,
    known: Path | None = None,
) -> Outcome:
    """Apply ``rules`` to the open project ``directory`` and all in it, in one go."""
    return Pass(directory, rules, known).rest(cancelled)
