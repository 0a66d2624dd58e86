"""What the node knows of one app: in memory, on disk, and as the status it reports.

Only the event loop's thread changes a record. A change is written to disk before it is reported,
so that an agent that was killed never takes back what it said.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from compute_agent.applog import Tail
from compute_agent.host import process
from compute_agent.host.cgroups import Usage
from compute_agent.protocol import AppStatus, Step, encode
from compute_agent.protocol.messages import AppState
from compute_agent.splice import Traffic
from compute_agent.stored import Stored, decode

_log = logging.getLogger(__name__)
LOG_LINES = 200
#: It is worth a report that an app was used this many seconds later than was last said.
ACTIVITY_STEP = 60.0
ENDED: frozenset[AppState] = frozenset({"stopped", "failed"})


class Record:
    """One app. ``changed`` is called after every change; ``publish`` makes it a status."""

    def __init__(self, stored: Stored, directory: Path, changed: Callable[["Record"], None]):
        self.app_id = stored.status.app_id
        self.launch = stored.launch
        self.runner = stored.runner
        self.uid = stored.uid
        self.stopping = stored.stopping
        self.unwanted = stored.unwanted
        self.ended = stored.ended
        #: The machine's boot in which an agent last knew of the app.
        self.boot = stored.boot or (stored.runner.boot if stored.runner else process.boot_id())
        self.directory = directory
        self.status = stored.status
        self.token = ""
        self.tail: Tail | None = None
        self._changed = changed
        self._state: AppState = stored.status.state
        self._steps: list[Step] = list(stored.status.progress)
        self._log: deque[str] = deque(stored.status.log, LOG_LINES)
        #: The end of the app's own output, without our lines between.
        self.output_lines: list[str] = []
        self._account = stored.status.account
        self._cause = stored.status.cause
        self._mend = stored.status.mend
        self._memory = stored.status.memory
        self._processors = stored.status.processors
        self._spent = stored.spent
        self._active_at = stored.status.active_at
        self._project_disk = stored.status.project_disk
        #: Of its connections; an app that is asked for its use does not count them.
        self.traffic = Traffic()
        #: When it is asked next, by the loop's clock.
        self.ask_at = 0.0
        #: When its use of the machine is looked at next, by ``time.monotonic()``.
        self.measure_at = 0.0
        self._killed = 0
        self._exit_code = stored.status.exit_code

    # --- what happens to the app ---

    @property
    def state(self) -> AppState:
        return self._state

    @property
    def lines(self) -> list[str]:
        return list(self._log)

    @property
    def active_at(self) -> float | None:
        """When it was last used, as Unix time."""
        return self._active_at

    @property
    def is_over(self) -> bool:
        return self._state in ENDED

    def enter(self, state: AppState) -> None:
        self._state = state
        self._changed(self)

    def end(
        self, state: AppState, cause: str = "", mend: str = "", code: int | None = None
    ) -> None:
        """The app is over: no process of it is left."""
        self._state, self._cause, self._mend, self._exit_code = state, cause, mend, code
        self._memory = self._processors = None
        self.ended = time.time()
        if cause:
            self.say(state, cause)
        self._changed(self)

    def start_step(self, step: str) -> None:
        self._steps = [known for known in self._steps if known.step != step]
        self._steps.append(Step(step=step, at=time.time()))
        self._changed(self)

    def finish_step(self, fact: str, seconds: float) -> None:
        step = msgspec.structs.replace(self._steps[-1], seconds=round(seconds, 3), fact=fact)
        self._steps[-1] = step
        self.say(step.step, fact)

    def say(self, step: str, fact: str) -> None:
        """Add a line of the launch to the log."""
        now = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        self._log.append(f"{clock}.{int(now * 1000) % 1000:03d}  {step}  {fact}")
        self._changed(self)

    def forget_steps(self) -> None:
        """Begin the launch again from its first step."""
        self._steps.clear()

    def set_account(self, name: str, uid: int) -> None:
        self._account, self.uid = name, uid
        self._changed(self)

    def note_active(self, at: float) -> None:
        """Take ``at`` (Unix time) as the last sign of use, unless a later one is known."""
        if self._active_at is not None and at <= self._active_at:
            return
        self._active_at = at
        told = self.status.active_at
        if told is None or at - told >= ACTIVITY_STEP:
            self._changed(self)

    def note_project_disk(self, used: int) -> None:
        """Report how many bytes the app's project takes on disk."""
        if used != self._project_disk:
            self._project_disk = used
            self._changed(self)

    def note_usage(self, usage: Usage, now: float) -> float | None:
        """Report a changed use, where it changed by a twentieth, and processes lost to it.

        ``now`` is ``time.monotonic()``, which goes on over a restart of the agent. Returns how many
        processors were in use since the last call; ``None`` where that is not known.
        """
        if usage.killed and usage.killed > self._killed:
            self.say("memory", "a process was ended by the system: too much memory was used")
        self._killed = usage.killed or 0
        processors = self._processors_since(usage.cpu, now)
        changed = _differs(usage.memory, self._memory) or _differs(processors, self._processors)
        if changed:
            self._memory, self._processors = usage.memory, processors
            self._changed(self)
        return processors

    def _processors_since(self, spent: float | None, now: float) -> float | None:
        """Return how many processors it used since the last call, to a hundredth."""
        before, self._spent = self._spent, None if spent is None else (spent, now)
        if before is None or spent is None or now <= before[1]:
            return None
        return round(max(0.0, spent - before[0]) / (now - before[1]), 2)

    def read_output(self, final: bool = False) -> None:
        """Take the app's new output into the log."""
        lines = self.tail.read(final) if self.tail else []
        if lines:
            self._log.extend(lines)
            self.output_lines = (self.output_lines + lines)[-LOG_LINES:]
            self._changed(self)

    # --- what is told of it ---

    def publish(self) -> None:
        """Make a status of the present, with the next revision, and write it down."""
        self.renew()
        self.save()

    def renew(self) -> None:
        """Make a status of the present, with the next revision."""
        self.status = AppStatus(
            app_id=self.app_id,
            revision=self.status.revision + 1,
            state=self._state,
            account=self._account,
            cause=self._cause,
            mend=self._mend,
            progress=tuple(self._steps),
            log=tuple(self._log),
            memory=self._memory,
            processors=self._processors,
            exit_code=self._exit_code,
            active_at=self._active_at,
            project_disk=self._project_disk,
        )

    def save(self) -> None:
        """Write it down; a full disk must not keep anybody from stopping an app."""
        try:
            self.write()
        except OSError as error:
            _log.error("the record of %s cannot be written: %s", self.app_id, error)

    def write(self) -> None:
        """Write it down. Raises ``OSError``."""
        stored = Stored(
            status=self.status,
            launch=self.launch,
            runner=self.runner,
            uid=self.uid,
            stopping=self.stopping,
            unwanted=self.unwanted,
            ended=self.ended,
            spent=self._spent,
            boot=process.boot_id(),
        )
        write_private(self.directory / "record.json", encode(stored))


def _differs(new: float | None, old: float | None) -> bool:
    """Say whether it is worth a report: by more than a twentieth."""
    if new is None or old is None:
        return new is not old
    return abs(new - old) * 20 > max(old, 0.2)


def write_private(path: Path, data: bytes) -> None:
    """Replace the file as a whole; only the node can read it."""
    fresh = f"{path}.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    os.replace(fresh, path)  # noqa: PTH105 - every change of every app comes by here


def read(directory: Path, changed: Callable[[Record], None]) -> Record:
    """Return the record kept in an app's directory.

    Raises ``OSError`` or ``msgspec.MsgspecError`` where there is none that can be used.
    """
    stored = decode((directory / "record.json").read_bytes())
    record = Record(stored, directory, changed)
    token = directory / "token"
    record.token = token.read_text() if token.exists() else ""
    return record
