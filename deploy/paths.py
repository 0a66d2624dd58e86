"""Where a site keeps its things: ``AEN_HOME``, and the short directory for its sockets."""

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.say import Problem

ROOT_HOME = Path("/var/lib/aen")
#: A Unix socket's address holds 107 bytes; an app's kernel takes 68 under here.
LONGEST_RUN_DIR = 39
_BAD = frozenset("%\"';#\\\n\r")


@dataclass(frozen=True)
class Layout:
    """The directories and files of one site. Nothing here is created or checked."""

    home: Path
    run: Path

    @property
    def venv(self) -> Path:
        return self.home / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def server(self) -> Path:
        return self.home / "server"

    @property
    def server_key(self) -> Path:
        return self.server / "secret_key"

    @property
    def static(self) -> Path:
        return self.server / "static"

    @property
    def gateway(self) -> Path:
        return self.home / "gateway"

    @property
    def gateway_config(self) -> Path:
        return self.gateway / "gateway.json"

    @property
    def gateway_key(self) -> Path:
        return self.gateway / "secret_key"

    @property
    def gateway_credential(self) -> Path:
        return self.gateway / "credential"

    @property
    def node(self) -> Path:
        return self.home / "node"

    @property
    def node_config(self) -> Path:
        return self.node / "compute-launcher-config.json"

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def etc(self) -> Path:
        return self.home / "etc"

    @property
    def supervisor_config(self) -> Path:
        return self.etc / "supervisord.conf"

    @property
    def lock(self) -> Path:
        return self.etc / "running.lock"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def agent_socket(self) -> Path:
        return self.run / "agent.sock"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"


def locate(env: Mapping[str, str], uid: int, checkout: Path | None = None) -> Layout:
    """Return the layout that the environment of a process of ``uid`` means.

    Raises ``Problem`` where that cannot be told or would not work.
    """
    home = _home(env, uid, checkout)
    if bad := sorted(set(str(home)) & _BAD):
        raise Problem(
            f"AEN_HOME cannot lie in {home}",
            f"Its path holds {' '.join(map(repr, bad))}, which configuration files cannot carry.",
            "Set AEN_HOME to a path without it.",
        )
    return Layout(home, _run(env, uid, home))


def _home(env: Mapping[str, str], uid: int, checkout: Path | None) -> Path:
    if given := env.get("AEN_HOME"):
        return Path(given).expanduser().absolute()
    if uid == 0:
        return ROOT_HOME
    if checkout is None:
        raise Problem(
            "AEN_HOME is not set.",
            "It names the directory that holds the site's data.",
            "Set it, for instance AEN_HOME=/srv/aen.",
        )
    return checkout / "var"


def _run(env: Mapping[str, str], uid: int, home: Path) -> Path:
    run = Path(env["AEN_RUN_DIR"]) if env.get("AEN_RUN_DIR") else default_run(env, uid, home)
    if len(os.fsencode(run)) > LONGEST_RUN_DIR:
        raise Problem(
            f"The directory for sockets has too long a path: {run}",
            f"Linux allows 107 bytes for a socket's address, which leaves {LONGEST_RUN_DIR} here.",
            "Set AEN_RUN_DIR to a shorter one, for instance AEN_RUN_DIR=/run/aen.",
        )
    return run


def default_run(env: Mapping[str, str], uid: int, home: Path) -> Path:
    """Return the run directory for ``home``: short, and another one for each site and person."""
    mark = hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
    if uid == 0:
        return Path("/run/aen") if home == ROOT_HOME else Path(f"/run/aen-{mark}")
    runtime = Path(env.get("XDG_RUNTIME_DIR") or "/nonexistent")
    if runtime.is_absolute() and is_ours(runtime, uid):
        return runtime / f"aen-{mark}"
    return Path(f"/tmp/aen-{uid}-{mark}")  # noqa: S108 - made 0700 and checked to be ours


def is_ours(path: Path, uid: int) -> bool:
    """Say whether ``path`` is a directory of ``uid``, itself and not a link."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def make_run(path: Path, uid: int) -> None:
    """Create the run directory. Raises ``Problem`` if someone else has put something there."""
    mode = 0o755 if uid == 0 else 0o700
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(
            f"The directory for sockets cannot be made: {path}",
            error.strerror or str(error),
            "Set AEN_RUN_DIR to a directory that you may create.",
        ) from error
    if not is_ours(path, uid):
        raise Problem(
            f"The directory for sockets belongs to someone else: {path}",
            "Whoever owns it could pose as this site.",
            "Have it removed, or set AEN_RUN_DIR to a directory of your own.",
        )
    path.chmod(mode)
