"""Bytes of WebSockets' messages that are held, by person.

The consumers pass a message on when it is whole, and hold it until the other end has taken it. Each
socket says of each direction how much that is now, so that nothing is left over when it ends.
"""

from collections import Counter

#: The limit's name.
NAME = "person_message_bytes"
#: What a frame or a message costs by being one, however little it holds.
PIECE_BYTES = 256


class Holding:
    """``most``: bytes of one person, 0 for any number; ``refused`` counts by the limit's name."""

    def __init__(self, most: int, refused: Counter[str]) -> None:
        self._most = most
        self._refused = refused
        self._of: dict[str, int] = {}
        self.total = 0

    def held(self, user: str) -> "Held":
        """Return one direction's part in what ``user`` holds: nothing yet."""
        return Held(self, user)

    def of(self, user: str) -> int:
        """Return the bytes that ``user`` holds."""
        return self._of.get(user, 0)

    def change(self, user: str, by: int) -> bool:
        """Count ``by`` bytes more or less; return whether that may be: to hold less always may."""
        size = self._of.get(user, 0) + by
        self.total += by
        if size:
            self._of[user] = size
        else:
            self._of.pop(user, None)
        return by <= 0 or not self._most or size <= self._most

    def refuse(self) -> str:
        """Count a socket that is closed because its bytes were too many; return the reason."""
        self._refused[NAME] += 1
        return f"Your messages under way have more than {self._most:,} bytes (limits: {NAME})."


class Held:
    """What one socket holds in one direction, in bytes."""

    __slots__ = ("_holding", "_user", "size")

    def __init__(self, holding: Holding, user: str) -> None:
        self._holding = holding
        self._user = user
        self.size = 0

    def holds(self, size: int) -> bool:
        """Note that it is ``size`` now; return whether that may be."""
        by, self.size = size - self.size, size
        return not by or self._holding.change(self._user, by)

    def refuse(self) -> str:
        """Return the reason for closing the socket, which may not hold so much."""
        return self._holding.refuse()
