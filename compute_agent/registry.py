"""The records of all apps, and who is told when one changes."""

import asyncio
import contextlib
import logging
import re
import shutil
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import msgspec

from compute_agent import record
from compute_agent.protocol import Answer
from compute_agent.record import Record
from compute_agent.stored import Stored

#: Changes of one app within this many seconds are reported as one.
COALESCE = 0.05
#: How long an ended app is kept for a server that never says ``Forget``, in seconds.
KEEP_ENDED = 24 * 3600.0
#: Answers that wait for a slow reader; of more than these, the oldest are lost.
_MOST_ANSWERS = 100
_APP_DIRECTORY = re.compile(r"[0-9a-f]{12}")
_log = logging.getLogger(__name__)


class Subscriber:
    """One reader of changes. However slow it is, each app waits for it at most once."""

    def __init__(self) -> None:
        self._waiting: dict[str, None] = {}
        self._answers: deque[Answer] = deque(maxlen=_MOST_ANSWERS)
        self._event = asyncio.Event()

    def tell(self, app_id: str) -> None:
        self._waiting[app_id] = None
        self._event.set()

    def answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._event.set()

    def answers(self) -> list[Answer]:
        """Return the answers that came, each once."""
        came = list(self._answers)
        self._answers.clear()
        return came

    async def next(self, patience: float) -> list[str]:
        """Return the apps that changed once one did, an answer came or ``patience`` seconds passed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), patience)
        self._event.clear()
        changed = list(self._waiting)
        self._waiting.clear()
        return changed


class Registry:
    """Records by app id, each with a directory below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._records: dict[str, Record] = {}
        #: What was wrong with records of an earlier agent, each in a sentence.
        self.problems: list[str] = []
        self._forgotten: dict[str, float] = {}
        self._dirty: dict[str, Record] = {}
        #: When changes were told last, by the loop's clock.
        self._flushed = 0.0
        self._subscribers: set[Subscriber] = set()

    # --- records ---

    def find(self, app_id: str) -> Record | None:
        return self._records.get(app_id)

    @property
    def app_ids(self) -> tuple[str, ...]:
        return tuple(self._records)

    @property
    def live(self) -> list[Record]:
        """The apps that are not over."""
        return [known for known in self._records.values() if not known.is_over]

    def add(self, stored: Stored) -> Record:
        """Begin a record, on disk and for all readers.

        Raises ``FileExistsError`` where another app's directory has the name of this one's, and
        ``OSError`` where it cannot be written down.
        """
        app_id = stored.status.app_id
        place = self._directory / app_id[:12]
        place.mkdir(mode=0o711)
        new = Record(stored, place, self.changed)
        new.renew()
        try:
            new.write()
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        self._records[app_id] = new
        self._tell(app_id)
        return new

    def read(self) -> list[Record]:
        """Read all that an earlier agent wrote down, and return it."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        for place in sorted(self._directory.iterdir()):
            if _APP_DIRECTORY.fullmatch(place.name):
                self._read_one(place)
        return list(self._records.values())

    def _read_one(self, place: Path) -> None:
        if not (place / "record.json").exists():
            shutil.rmtree(place, ignore_errors=True)  # its agent was killed before it had one
            return
        try:
            known = record.read(place, self.changed)
        except (OSError, msgspec.MsgspecError) as error:
            _log.error("the record in %s cannot be read: %s", place, error)
            self.problems.append(
                f"The record of an app in {place} cannot be read ({error}): the app may go on, and "
                "nobody knows of it. runner.json there has the process to end it by."
            )
            return
        self._records[known.app_id] = known
        known.publish()

    def forget(self, app_id: str) -> None:
        """Drop the record and all that is kept of the app but its id."""
        known = self._records.pop(app_id)
        self._dirty.pop(app_id, None)
        self._forgotten[app_id] = time.time()
        shutil.rmtree(known.directory, ignore_errors=True)

    def is_forgotten(self, app_id: str) -> bool:
        return app_id in self._forgotten

    def drop_old(self) -> None:
        """Forget what ended a day ago or is not wanted, and in the end its id too."""
        limit = time.time() - KEEP_ENDED
        for known in list(self._records.values()):
            if known.is_over and (known.unwanted or (known.ended or 0) < limit):
                self.forget(known.app_id)
        self._forgotten = {
            app_id: when for app_id, when in self._forgotten.items() if when >= limit
        }

    # --- changes ---

    def changed(self, app: Record) -> None:
        """Have the app's new state written down and told, with what else changes just now.

        That is at once where nothing was told of late, and else as soon as something may be again.
        """
        if not self._dirty:
            asyncio.get_running_loop().call_at(self._flushed + COALESCE, self._flush)
        self._dirty[app.app_id] = app

    def _flush(self) -> None:
        self._flushed = asyncio.get_running_loop().time()
        dirty, self._dirty = self._dirty, {}
        for app_id, app in dirty.items():
            app.publish()
            self._tell(app_id)

    def _tell(self, app_id: str) -> None:
        for subscriber in self._subscribers:
            subscriber.tell(app_id)

    @property
    def is_listened_to(self) -> bool:
        return bool(self._subscribers)

    def tell_once(self, answer: Answer) -> None:
        """Tell those who listen now; an answer is kept for nobody else."""
        for subscriber in self._subscribers:
            subscriber.answer(answer)

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Subscriber]:
        """Hear of every change while the block lasts."""
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
