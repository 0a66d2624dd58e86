"""What can go wrong on the way to an app."""

from compute_agent.protocol import Refusal


class AppUnreachable(Exception):
    """The app or its node did not answer; ``str()`` is a sentence for people."""


class AppRefused(AppUnreachable):
    """The agent would not connect: the app is not running there."""

    def __init__(self, status: int, refusal: Refusal) -> None:
        super().__init__(refusal.detail or "The node refused the connection.")
        self.status = status
        self.code = refusal.code
