"""Limits that the kernel holds for all processes of an app, and of a person: control groups.

An app's group lies in its person's: ``aen-<node>/<uid>/<app>``, in version 2 of the interface where that
has the controllers, else in version 1's hierarchies. Where the node may use neither, apps run with
what ``setrlimit`` can hold, and ``Cgroups.lack`` says why.

Source: the kernel's ``Documentation/admin-guide/cgroup-v1`` and ``cgroup-v2.rst``.
"""

import contextlib
import errno
import os
import time
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

_PERIOD = 100_000  # microseconds in which an app may use its share of processors
_CONTROLLERS = ("memory", "cpu", "pids")
_MOUNTS = Path("/proc/self/mountinfo")
_PATIENCE = 2.0


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """What may be used at once; ``None`` is as much as there is."""

    #: Bytes.
    memory: int | None = None
    #: Processors, for instance 1.5.
    cpu: float | None = None
    #: Processes and threads.
    processes: int | None = None


class Usage(NamedTuple):
    """``memory`` in bytes without what the kernel can drop, ``cpu`` in seconds since the start,
    ``killed`` the processes that the kernel ended for lack of memory. ``None`` is not known."""

    memory: int | None = None
    cpu: float | None = None
    processes: int | None = None
    killed: int | None = None


class Group:
    """The group of one app, in one directory for each hierarchy."""

    def __init__(self, directories: dict[str, Path], unified: bool) -> None:
        self._directories = directories
        self._unified = unified

    @property
    def joins(self) -> list[str]:
        """The files into which a process writes ``0`` to be in the group from then on."""
        return [str(path / "cgroup.procs") for path in self._places()]

    def usage(self) -> Usage:
        if self._unified:
            return self._usage_unified()
        memory, pids = self._directories["memory"], self._directories["pids"]
        # Accounting of processor time is a controller of its own that may be missing.
        spent = _number(self._directories.get("cpuacct", memory) / "cpuacct.usage")
        return Usage(
            memory=_stat(memory / "memory.stat", "total_rss"),
            cpu=None if spent is None else spent / 1e9,
            processes=_number(pids / "pids.current"),
            killed=_stat(memory / "memory.oom_control", "oom_kill"),
        )

    def processes(self) -> list[int]:
        """Return the ids of all processes in the group."""
        for path in self._places():
            with contextlib.suppress(OSError):
                return [int(line) for line in (path / "cgroup.procs").read_text().split()]
        return []

    def remove(self) -> bool:
        """Remove the group once no process is in it. Say whether it is gone."""
        deadline = time.monotonic() + _PATIENCE
        waiting = self._places()
        while waiting:
            waiting = [path for path in waiting if not _rmdir(path)]
            if waiting and time.monotonic() > deadline:
                return False
            if waiting:
                time.sleep(0.01)  # a process that ended a moment ago still counts
        for person in {path.parent for path in self._places()}:
            _rmdir_up(person)  # when this was their last app, or the node's
        return True

    def _places(self) -> list[Path]:
        return list(dict.fromkeys(self._directories.values()))

    def _usage_unified(self) -> Usage:
        path = next(iter(self._directories.values()))
        microseconds = _stat(path / "cpu.stat", "usage_usec")
        return Usage(
            memory=_stat(path / "memory.stat", "anon"),
            cpu=None if microseconds is None else microseconds / 1e6,
            processes=_number(path / "pids.current"),
            killed=_stat(path / "memory.events", "oom_kill"),
        )


class Cgroups:
    """What this machine and this process's rights allow. ``lack`` is empty where all is well.

    ``node`` tells the groups of several nodes on one machine apart.
    """

    def __init__(self, node: str, mounts: Path = _MOUNTS) -> None:
        self._top = f"aen-{node}"
        self._unified, self._roots = _hierarchies(mounts)
        self.lack = self._try()

    def make(self, uid: int, app: str, of_app: Limits, of_person: Limits) -> Group | None:
        """Return the app's group with its limits set; ``None`` where groups cannot be had.

        Raises ``OSError`` for a limit that the kernel refuses.
        """
        if self.lack:
            return None
        directories: dict[str, Path] = {}
        for controller, root in self._roots.items():
            person = root / self._top / str(uid)
            place = person / app
            place.mkdir(parents=True, exist_ok=True)
            if self._unified:
                _enable(root, root / self._top, person)
            directories[controller] = place
        for controller, place in directories.items():
            _limit(place.parent, controller, of_person, self._unified)
            _limit(place, controller, of_app, self._unified)
        return Group(directories, self._unified)

    def find(self, uid: int, app: str) -> Group | None:
        """Return the group that an earlier agent made."""
        places = {name: root / self._top / str(uid) / app for name, root in self._roots.items()}
        found = {name: place for name, place in places.items() if place.is_dir()}
        return Group(found, self._unified) if found else None

    def remove_all_but(self, apps: Container[str]) -> None:
        """Remove the groups of apps that are not among ``apps`` and have no process left."""
        for root in self._roots.values():
            for place in (root / self._top).glob("*/*/"):
                if place.name not in apps and _rmdir(place):
                    _rmdir_up(place.parent)

    def _try(self) -> str:
        if not self._roots:
            return "this machine has no control groups for memory, processors and processes"
        for root in self._roots.values():
            try:
                (root / self._top).mkdir(exist_ok=True)
                if self._unified:
                    _enable(root)
                elif not os.access(root / self._top / "cgroup.procs", os.W_OK, effective_ids=True):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            except OSError as error:
                return f"control groups cannot be made in {root} ({error.strerror})"
            _rmdir(root / self._top)  # made again with the first app
        return ""


# --- the machine's hierarchies --------------------------------------------------------------------


def _hierarchies(mounts: Path) -> tuple[bool, dict[str, Path]]:
    """Return whether version 2 is used, and the root for each controller."""
    first: dict[str, Path] = {}
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4])
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" and _has_controllers(place):
            return True, dict.fromkeys(_CONTROLLERS, place)
        if kind == "cgroup":
            for name in options.split(","):
                if name in (*_CONTROLLERS, "cpuacct"):
                    first.setdefault(name, place)
    return False, first if all(name in first for name in _CONTROLLERS) else {}


def _has_controllers(place: Path) -> bool:
    with contextlib.suppress(OSError):
        offered = (place / "cgroup.controllers").read_text().split()
        return set(_CONTROLLERS) <= set(offered)
    return False


def _enable(*levels: Path) -> None:
    """Let the groups below each of ``levels`` have the controllers."""
    for level in levels:
        file = level / "cgroup.subtree_control"
        if not set(_CONTROLLERS) <= set(file.read_text().split()):
            file.write_text(" ".join(f"+{name}" for name in _CONTROLLERS))


# --- limits ---------------------------------------------------------------------------------------


def _limit(place: Path, controller: str, limits: Limits, unified: bool) -> None:
    match controller, unified:
        case "memory", True:
            _write(place / "memory.max", _or_max(limits.memory))
            with contextlib.suppress(OSError):  # without swap accounting there is no such file
                _write(place / "memory.swap.max", "max" if limits.memory is None else "0")
        case "memory", False:
            _write(place / "memory.limit_in_bytes", str(limits.memory or -1))
        case "cpu", True:
            _write(place / "cpu.max", f"{_or_max(_quota(limits.cpu))} {_PERIOD}")
        case "cpu", False:
            _write(place / "cpu.cfs_period_us", str(_PERIOD))
            _write(place / "cpu.cfs_quota_us", str(_quota(limits.cpu) or -1))
        case "pids", _:
            _write(place / "pids.max", _or_max(limits.processes))


def _quota(processors: float | None) -> int | None:
    return None if processors is None else max(1000, int(processors * _PERIOD))


def _or_max(value: int | None) -> str:
    return "max" if value is None else str(value)


def _write(path: Path, value: str) -> None:
    try:
        path.write_text(value)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} for {value}", str(path)) from None


# --- reading --------------------------------------------------------------------------------------


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return None


def _stat(path: Path, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None


def _rmdir(path: Path) -> bool:
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _rmdir_up(person: Path) -> None:
    """Remove the group of a person, and then the node's, where they are empty."""
    if _rmdir(person):
        _rmdir(person.parent)
