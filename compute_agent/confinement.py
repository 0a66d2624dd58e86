"""What each app is kept within: memory, processors, processes, and its own view of the machine."""

import hashlib
import logging
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from msgspec import Struct

from compute_agent.config import Config
from compute_agent.host import privileges
from compute_agent.host.accounts import Account
from compute_agent.host.cgroups import Cgroups, Group, Limits, Usage
from compute_agent.host.directories import make_owned, opened
from compute_agent.host.errors import HostError
from compute_agent.host.removal import remove_tree
from compute_agent.ports import Ports

_RUNNER = Path(__file__).parent / "runner/__main__.py"
#: Where a view of an app's own puts the app's directory for temporary files.
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
_GIGABYTE = 1 << 30
_log = logging.getLogger(__name__)


class Needs(Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of one app's description, in place of the node's; 0 is no limit."""

    #: Gigabytes.
    memory: float | None = None
    processors: float | None = None
    processes: int | None = None


class Confinement:
    """What this node can keep its apps within. ``lacks`` says in sentences what it cannot."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._groups: Cgroups | None = None
        #: Those that were found, which every look at an app's use would look for again.
        self._found: dict[str, Group] = {}
        self._views = False
        self.ports = Ports(Path(config.run_dir))
        self._needed = _needed(config)
        self.lacks: list[str] = []
        # A person's group goes with their last app; none may begin meanwhile.
        self._changing = threading.Lock()
        if privileges.serves_others():
            self._find_out()

    def spec(self, app: str, account: Account, needs: Needs) -> dict[str, Any]:
        """Return the part of the runner's instructions that keeps the app within its limits.

        Blocking. Raises ``OSError`` where what should be possible is not.
        """
        of_app, of_person = self._of_app(needs), self._of_person()
        spec: dict[str, Any] = {"joins": [], "limits": {}}
        with self._changing:
            group = self._make(account.uid, app, of_app, of_person)
        if group is not None:
            spec["joins"] = group.joins
        else:
            spec["limits"] = _by_process(of_app, of_person)
        if self._views:
            spec["rooms"] = {"tmp": self._temporary(app, account), "keep": self._kept()}
        return spec

    def usage(self, app: str, uid: int) -> Usage | None:
        """Return what the app uses, ``None`` where no group counts it."""
        group = self._find(app, uid)
        return None if group is None else group.usage()

    def remains(self, app: str, uid: int) -> list[int]:
        """Return the processes that the app's group still holds."""
        group = self._find(app, uid)
        return [] if group is None else group.processes()

    def tidy(self, app: str, uid: int) -> None:
        """Take away what was made for an app of which no process is left. Blocking."""
        self.ports.free(Path(self._config.run_dir) / app)
        with self._changing:
            group = self._find(app, uid)
            if group is not None and not group.remove():
                _log.warning("the control group of app %s could not be removed", app)
            self._found.pop(app, None)
        place = self._place
        try:
            with opened(place) as fd:
                remove_tree(app, fd)
        except FileNotFoundError:
            return
        except OSError as error:
            _log.warning("%s/%s could not be removed: %s", place, app, error.strerror)

    def left_of_others(self, apps: Collection[str]) -> list[str]:
        """Return the names of apps that nobody knows any more, of which there are files left.

        Their control groups are removed. For the agent's start: nothing must be launching.
        """
        if self._groups is not None:
            self._groups.remove_all_but(apps)
        try:
            return [place.name for place in self._place.iterdir() if place.name not in apps]
        except OSError:
            return []

    def memory_of(self, needs: Needs) -> str:
        """Return in words how much memory an app may use, empty where there is no limit."""
        known = (self._of_app(needs).memory, self._of_person().memory)
        limits = [limit for limit in known if limit]
        return f"{min(limits) / _GIGABYTE:.3g} GB" if limits else ""

    # --- parts ---

    def _find_out(self) -> None:
        self._groups = Cgroups(_node(self._config))
        if self._groups.lack and self._are_limits_set():
            self.lacks.append(
                f"Apps are limited process by process only: {self._groups.lack}. "
                "docs/admin/apps.md says what that means."
            )
        try:
            self.ports.renew()
        except HostError as error:
            self.lacks.append(f"{error.cause} {error.mend}")
        if self._config.own_view:
            why = _why_no_views()
            self._views = not why
            if why:
                self.lacks.append(
                    "Apps see each other's processes and share /tmp: the system refuses this node "
                    f"to separate them ({why}). The option own_view: false accepts that."
                )

    def _are_limits_set(self) -> bool:
        """Say whether there are limits that ``setrlimit`` does not hold."""
        config = self._config
        of_apps = config.app_memory or config.app_processors or config.app_processes
        return bool(of_apps or config.person_memory or config.person_processors)

    def _make(self, uid: int, app: str, of_app: Limits, of_person: Limits) -> Group | None:
        return None if self._groups is None else self._groups.make(uid, app, of_app, of_person)

    def _find(self, app: str, uid: int) -> Group | None:
        found = self._found.get(app)
        if found is None and self._groups is not None:
            found = self._groups.find(uid, app)
            if found is not None:
                self._found[app] = found
        return found

    @property
    def _place(self) -> Path:
        return Path(self._config.state_dir) / "tmp"

    def _temporary(self, app: str, account: Account) -> str:
        self._place.mkdir(mode=0o711, exist_ok=True)
        with opened(self._place) as fd:
            remove_tree(app, fd)
            make_owned(app, fd, account.uid, account.gid)
        return str(self._place / app)

    def _kept(self) -> list[str]:
        """Return the directories below the covered ones that apps need all the same."""
        return [str(path) for path in self._needed if path.is_dir()]

    def _of_app(self, needs: Needs) -> Limits:
        config = self._config
        return _limits(
            config.app_memory if needs.memory is None else needs.memory,
            config.app_processors if needs.processors is None else needs.processors,
            config.app_processes if needs.processes is None else needs.processes,
        )

    def _of_person(self) -> Limits:
        config = self._config
        return _limits(config.person_memory, config.person_processors, config.person_processes)


def _needed(config: Config) -> list[Path]:
    """Return what apps need of what lies below the covered directories, there or not."""
    needed = [config.run_dir, config.project_root, config.state_dir, config.apps_dir]
    needed.append(sys.base_prefix)
    if config.python:
        needed.append(str(Path(config.python).resolve().parents[1]))
    paths = map(Path, needed)
    return [path for path in paths if any(place in path.parents for place in _TEMPORARY)]


def _node(config: Config) -> str:
    """Return a short name for the node, which no other on this machine has."""
    return hashlib.blake2b(config.run_dir.encode(), digest_size=4).hexdigest()


def _limits(memory: float, processors: float, processes: float) -> Limits:
    return Limits(int(memory * _GIGABYTE) or None, processors or None, int(processes) or None)


def _by_process(of_app: Limits, of_person: Limits) -> dict[str, list[int]]:
    """Return what ``setrlimit`` can hold: memory of each process, processes of the account."""
    limits = {}
    memory = min((limit for limit in (of_app.memory, of_person.memory) if limit), default=None)
    if memory:
        limits["data"] = [memory, memory]
    if of_person.processes:
        limits["nproc"] = [of_person.processes, of_person.processes]
    return limits


def _why_no_views() -> str:
    """Return what keeps this machine from giving an app its own view; empty if nothing does."""
    command = [sys.executable, "-I", "-S", str(_RUNNER), "--try-namespaces"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else done.stderr.strip() or "it ended"
