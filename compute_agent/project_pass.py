"""One pass over a project's files, as a launch and a change of the team ask for it."""

import os
import threading
from pathlib import Path

from compute_agent.host import permissions
from compute_agent.host.errors import explained


class ProjectPass:
    """A pass over a project's files, its errors in words. It holds the directory until closed."""

    def __init__(
        self, place: Path, directory: int, rules: permissions.Rules, known: Path, notes: list[str]
    ) -> None:
        self._place = place
        self._directory = directory
        self._pass = permissions.Pass(directory, rules, known)
        self._notes = notes
        self.outcome = permissions.Outcome()

    @property
    def looked_at(self) -> int:
        return self._pass.looked_at

    def first(self, seconds: float) -> bool:
        """Do what fits into ``seconds``; say whether that was all. Raises ``HostError``."""
        with explained("set the permissions", self._place):
            done = self._pass.first(seconds)
        if done:
            self.rest(threading.Event())
        return done

    def rest(self, cancelled: threading.Event) -> None:
        """Do what is left. Raises ``HostError``, ``Cancelled``."""
        with explained("set the permissions", self._place):
            self.outcome = self._pass.rest(cancelled)
        for note in self._notes:
            self.outcome.note(note)

    def close(self) -> None:
        os.close(self._directory)
