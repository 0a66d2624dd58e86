"""What the node was last told of each project: its team and the rights set by hand.

Commands may arrive late or twice. A launch that was written before somebody was removed from the
team must not let them in again, also after a restart of the agent.
"""

import logging
from pathlib import Path

import msgspec
from msgspec import Struct

from compute_agent.protocol import ProjectSpec
from compute_agent.record import write_private

_log = logging.getLogger(__name__)


class Stored(Struct):
    """``settled`` once the project's files have been given what ``spec`` says."""

    spec: ProjectSpec
    settled: bool = False


class Specs:
    """The newest description of each project, one file for each below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[tuple[str, str], Stored] = {}

    def newest(self, given: ProjectSpec) -> ProjectSpec:
        """Return ``given``, or what is known if that is newer."""
        known = self._find(given)
        if known is not None and (known.spec.revision > given.revision or known.spec == given):
            return known.spec
        self._keep(Stored(given))
        return given

    def settle(self, spec: ProjectSpec) -> None:
        """Note that ``spec`` is applied, if it is still the newest."""
        known = self._find(spec)
        if known is not None and known.spec == spec and not known.settled:
            self._keep(Stored(spec, settled=True))

    def known(self) -> list[ProjectSpec]:
        """Return the newest description of each project that was told of or read so far."""
        return [stored.spec for stored in self._known.values()]

    def unsettled(self) -> list[ProjectSpec]:
        """Return what an earlier agent did not come to the end of."""
        for path in sorted(self._directory.glob("*/*.json")):
            stored = _read(path)
            if stored is not None:
                self._known.setdefault(_key(stored.spec), stored)
        return [stored.spec for stored in self._known.values() if not stored.settled]

    def forget(self, project: ProjectSpec) -> None:
        """Drop what is known of a project that is removed."""
        self._known.pop(_key(project), None)
        for path in (self._path(project), self.known_tree(project)):
            path.unlink(missing_ok=True)

    def known_tree(self, project: ProjectSpec) -> Path:
        """Return where the pass keeps what it saw of the project's files."""
        return self._path(project).with_suffix(".tree")

    # --- parts ---

    def _find(self, project: ProjectSpec) -> Stored | None:
        known = self._known.get(_key(project))
        if known is None:
            known = _read(self._path(project))
            if known is not None:
                self._known[_key(project)] = known
        return known

    def _keep(self, stored: Stored) -> None:
        self._known[_key(stored.spec)] = stored
        path = self._path(stored.spec)
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, msgspec.json.encode(stored))
        except OSError as error:  # a full disk: it is still known until the agent ends
            _log.warning("%s could not be written: %s", path, error.strerror)

    def _path(self, project: ProjectSpec) -> Path:
        return self._directory / project.owner / f"{project.name}.json"


def _key(project: ProjectSpec) -> tuple[str, str]:
    return project.owner, project.name


def _read(path: Path) -> Stored | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stored)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        _log.warning("%s could not be read: %s", path, error)
        return None
