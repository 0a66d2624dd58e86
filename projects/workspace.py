"""What the middle of a project's page shows: a tile for each app, and the panel of one start.

Made anew for each look at the page; ``Workspace.seen`` tells two looks apart, so that a page that has
seen it all gets nothing.
"""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256

from django.utils import timezone

from accounts.models import User
from compute_agent.protocol import STEPS

from . import access, catalog, idle
from .models import AppInstance, Project
from .plain import plain

LABELS = {
    "account": "Account",
    "directory": "Directory",
    "permissions": "Permissions",
    "environment": "Environment",
    "launch": "Launch",
    "ready": "Ready",
}
WORDS = {
    "requested": "Waiting",
    "preparing": "Starting",
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "stopped": "Stopped",
}
STARTING = frozenset({"requested", "preparing", "starting"})
#: An end this long ago is still worth saying aloud.
JUST_NOW = timedelta(seconds=30)

_SENTENCE_END = re.compile(r"[.:;] ")
_OURS = re.compile(rf"^(?:\d\d:\d\d:\d\d(?:\.\d+)? +)?(?:{'|'.join(STEPS)}) ")
_BAD = re.compile(
    r"\b(?:error|fatal|failed|refused|killed|critical|out of memory)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Step:
    """``kind``: done, now, later or failed. ``elapsed`` is set while the step runs."""

    label: str
    kind: str
    seconds: float | None = None
    elapsed: float | None = None
    fact: str = ""


@dataclass(frozen=True)
class Line:
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Tile:
    """An app as the page offers it. ``elapsed`` is set while it starts, in seconds."""

    name: str
    title: str
    icon: str
    instance: AppInstance | None
    url: str | None = None
    category: str = ""

    @property
    def state(self) -> str:
        if self.instance is None or (self.instance.state == "failed" and self.instance.dismissed):
            return "stopped"
        return self.instance.state

    @property
    def word(self) -> str:
        if self.state == "failed":
            return (
                _SENTENCE_END.split(plain(self.instance.cause), maxsplit=1)[0].rstrip(".")
                or "Failed"
            )
        return WORDS[self.state]

    @property
    def is_starting(self) -> bool:
        return self.state in STARTING

    @property
    def stops_in(self) -> int | None:
        """Minutes until it is stopped because nobody uses it, when that is near."""
        return idle.minutes_left(self.instance) if self.instance is not None else None

    @property
    def ended(self) -> str:
        """Why it is stopped, where somebody may wonder."""
        if self.instance is None or self.instance.state != "stopped":
            return ""
        return plain(self.instance.cause)

    @property
    def elapsed(self) -> float | None:
        if not self.is_starting:
            return None
        return max(0.0, (timezone.now() - self.instance.requested_at).total_seconds())

    @property
    def edge(self) -> str:
        if self.is_starting:
            return "busy"
        return "failed" if self.state == "failed" else ""


@dataclass(frozen=True)
class Panel:
    """The start that the page is about. ``took`` is the time until it answered, in seconds."""

    tile: Tile
    steps: list[Step]
    lines: list[Line]
    took: float | None = None
    ran: float | None = None


@dataclass(frozen=True)
class Workspace:
    tiles: list[Tile]
    panel: Panel | None
    may_start: bool
    seen: str
    say: str
    problem: str = field(default="")

    @property
    def busy(self) -> bool:
        return any(tile.instance is not None and tile.instance.is_busy for tile in self.tiles)


def look(project: Project, user: User, problem: str = "") -> Workspace:
    """Return what a person sees of a project's apps now. ``problem``: why a request was refused."""
    tiles = [
        Tile(
            offer.name,
            offer.title,
            offer.icon,
            offer.instance,
            _url(offer.instance),
            offer.category,
        )
        for offer in catalog.offers(project, user)
    ]
    may_start = access.may(user, project, "start")
    chosen = _chosen(tiles)
    return Workspace(
        tiles=tiles,
        panel=_panel(chosen) if chosen else None,
        may_start=may_start,
        seen=_seen(tiles, may_start),
        say=_say(tiles),
        problem=problem,
    )


def _url(instance: AppInstance | None) -> str | None:
    return catalog.url(instance) if instance is not None else None


def _chosen(tiles: list[Tile]) -> Tile | None:
    """Return the tile whose panel is shown: what starts before what failed before what runs."""
    rank = {"stopping": 1, "running": 1, "failed": 2, **dict.fromkeys(STARTING, 3)}
    shown = [tile for tile in tiles if tile.state in rank]
    return max(shown, key=lambda t: (rank[t.state], t.instance.requested_at), default=None)


def _seen(tiles: list[Tile], may_start: bool) -> str:
    facts = [
        (t.name, t.title, t.state, i.pk.hex, i.revision, i.cause, t.url, t.stops_in)
        if (i := t.instance)
        else t.name
        for t in tiles
    ]
    return sha256(repr((facts, may_start)).encode()).hexdigest()[:16]


def _say(tiles: list[Tile]) -> str:
    """Return the one sentence for the live region: about the newest run, by state and step."""
    newest = max(
        (t for t in tiles if t.instance), key=lambda t: t.instance.requested_at, default=None
    )
    if newest is None:
        return ""
    instance = newest.instance
    if newest.is_starting:
        return f"{newest.title} is starting: {_step_now(instance)}"
    if newest.state == "stopped":
        recent = instance.ended_at and timezone.now() - instance.ended_at < JUST_NOW
        return f"{newest.title} is stopped" if recent else ""
    words = {
        "running": "stops soon unless it is used" if newest.stops_in else "is running",
        "stopping": "is stopping",
        "failed": f"failed: {plain(instance.cause)}",
    }
    return f"{newest.title} {words[newest.state]}"


def _step_now(instance: AppInstance) -> str:
    if not instance.progress:
        return f"waiting for {instance.node}"
    return LABELS.get(instance.progress[-1]["step"], "").lower()


# --- the panel -----------------------------------------------------------------------------------


def _panel(tile: Tile) -> Panel:
    instance = tile.instance
    took = ran = None
    if instance.running_at:
        took = (instance.running_at - instance.requested_at).total_seconds()
        ran = ((instance.ended_at or timezone.now()) - instance.running_at).total_seconds()
    return Panel(tile, _steps(tile), log_lines(instance), took, ran)


def _steps(tile: Tile) -> list[Step]:
    reported = {step["step"]: step for step in tile.instance.progress}
    steps = [_step(name, reported.get(name), tile) for name in STEPS]
    if tile.state == "failed" and tile.instance.running_at:
        steps[-1] = Step("Running", "failed")
    elif tile.state == "failed" and all(step.kind in ("done", "later") for step in steps):
        first = next((i for i, step in enumerate(steps) if step.kind == "later"), len(steps) - 1)
        steps[first] = Step(steps[first].label, "failed")
    return steps


def _step(name: str, report: dict[str, object] | None, tile: Tile) -> Step:
    label = LABELS[name]
    if report is None:
        return Step(label, "done" if tile.state == "running" else "later")
    fact = plain(str(report.get("fact", "")))
    if report.get("seconds") is not None:
        return Step(label, "done", seconds=float(report["seconds"]), fact=fact)
    if tile.state == "failed":
        return Step(label, "failed", fact=fact)
    elapsed = max(0.0, time.time() - float(report["at"]))
    return Step(label, "now" if tile.is_starting else "later", elapsed=elapsed, fact=fact)


def log_lines(instance: AppInstance) -> list[Line]:
    """Return the log of a run, with our own lines and those that tell of errors marked."""
    failed = instance.state == "failed"
    return [_line(plain(str(text)), failed=failed) for text in instance.log]


def _line(text: str, *, failed: bool) -> Line:
    if _OURS.match(text) and not (failed and _BAD.search(text)):
        return Line(text, "ours")
    return Line(text, "bad" if failed and _BAD.search(text) else "")
