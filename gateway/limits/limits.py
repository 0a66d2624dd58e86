"""The limits of people and addresses, and who is over them."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from .crowd import neighbourhood
from .holding import Holding
from .rate import Rate
from .turns import Turns

Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]

#: Seconds' worth of a rate that may come at once.
BURST_SECONDS = 4.0


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """``limits`` of ``gateway.json``; 0 turns a limit off."""

    #: Answers under way and WebSockets of one person at a time, over all their apps.
    person_open: Count = 1024
    #: Requests a second of one person, over some seconds.
    person_rate: Annotated[float, Meta(ge=0)] = 1000.0
    #: Requests a second of one address that are turned away: to sign in, or refused.
    address_rate: Annotated[float, Meta(ge=0)] = 50.0
    #: Connections of one address, this host's own excepted.
    address_connections: Count = 1024
    #: Connections of browsers in all; 0: half of the files that the process may open.
    connections: Count = 0
    #: An upload must bring ``upload_bytes`` in each ``upload_seconds``.
    upload_seconds: Seconds = 60.0
    upload_bytes: Count = 1024
    #: Bytes of a WebSocket's message that the consumers carry, which hold it as a whole.
    message_bytes: Count = 256 * 1024 * 1024
    #: Bytes of all such messages of one person that are under way at a time.
    person_message_bytes: Count = 512 * 1024 * 1024
    #: Seconds for which a browser may take nothing of what is sent to it.
    reader_seconds: Seconds = 300.0


class Over(Exception):
    """Somebody is over the limit ``name``; ``str()`` is a sentence for them."""

    def __init__(self, name: str, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.name = name
        self.seconds = max(1, round(seconds + 0.5))


class Limits:
    """Counts what people and addresses do."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.turns = Turns()
        #: Of addresses: large heads that are read, and answers to those who are turned away.
        self.heads = Turns(share=1)
        self.strangers = Turns(share=1)
        #: Of people: pieces of uploads, each of up to 256 KiB.
        self.uploads = Turns(share=2)
        self.refused: Counter[str] = Counter()  # by the limit's name
        self.messages = Holding(settings.person_message_bytes, self.refused)
        self._people = Rate(settings.person_rate, settings.person_rate * BURST_SECONDS, clock)
        self._addresses = Rate(settings.address_rate, settings.address_rate * BURST_SECONDS, clock)

    @property
    def delayed(self) -> int:
        """How often something had to wait for its turn."""
        turns = (self.turns, self.heads, self.strangers, self.uploads)
        return sum(one.delayed for one in turns)

    def person(self, user: str, open_now: int) -> None:
        """Count a request of ``user``, who has ``open_now`` answers and sockets; raises ``Over``."""
        most = self.settings.person_open
        if most and open_now >= most:
            raise Over(
                "person_open",
                f"{open_now:,} answers and sockets of yours are open; close some tabs.",
                5.0,
            )
        wait = self._people.take(user)
        if wait:
            raise Over(
                "person_rate",
                f"You asked more than {self.settings.person_rate:,.0f} times a second.",
                wait,
            )

    def address(self, address: str) -> None:
        """Raise ``Over`` if too many requests of ``address`` were turned away lately."""
        wait = self._addresses.wait(neighbourhood(address))
        if wait:
            raise Over(
                "address_rate", "Too many requests from your address were turned away.", wait
            )

    def turned_away(self, address: str) -> None:
        """Count a request of ``address`` that was sent to sign in, or refused."""
        self._addresses.spend(neighbourhood(address))
