"""The system's programs that make accounts and groups, and the ids that are free for new ones."""

import grp
import pwd
import subprocess
import time
from functools import lru_cache
from itertools import chain
from pathlib import Path

from compute_agent.host import privileges
from compute_agent.host.account_book import Entries
from compute_agent.host.errors import HostError

_LOGIN_DEFS = Path("/etc/login.defs")
_USERADD_DEFAULTS = Path("/etc/default/useradd")
_RANGE = {"UID_MIN": 1000, "UID_MAX": 60000}
# The tools are the system's own, whatever the agent's PATH says.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_PATIENCE = 60
# Somebody else changes accounts just now: the tools do not wait for each other.
_LOCK_TRIES, _LOCK_PAUSE = 50, 0.1


class Failed(HostError):
    """A program that did not do it; ``code`` is its exit code, ``said`` its last words."""

    def __init__(self, failure: str, code: int, said: str) -> None:
        super().__init__(f"{failure}: {said}", "An administrator can do it by hand.")
        self.code = code
        self.said = said


def run(failure: str, *command: str) -> None:
    """Run a program that changes accounts. Raises ``HostError``, and ``Failed`` for its refusal."""
    for _ in range(_LOCK_TRIES):
        try:
            _run(failure, command)
        except Failed as failed:
            if "try again later" not in failed.said:
                raise
            latest = failed
            time.sleep(_LOCK_PAUSE)
        else:
            return
    raise latest


def _run(failure: str, command: tuple[str, ...]) -> None:
    try:
        with privileges.handed_down(privileges.OF_ACCOUNT_TOOLS):
            result = subprocess.run(
                command, capture_output=True, text=True, check=False,
                timeout=_PATIENCE, env=_ENVIRONMENT, stdin=subprocess.DEVNULL,
            )  # fmt: skip
    except FileNotFoundError:
        raise HostError(
            f"{failure}: this node has no {command[0]}.", "An administrator can do it by hand."
        ) from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{failure}: {command[0]} did not end within {_PATIENCE} s.") from None
    if result.returncode != 0:
        said = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
        raise Failed(failure, result.returncode, said)


def setting(name: str, login_defs: Path = _LOGIN_DEFS) -> int:
    """Return ``UID_MIN`` or ``UID_MAX`` of this machine, between which the ids of people lie."""
    try:
        info = login_defs.stat()
        found = _range(login_defs, (info.st_ino, info.st_mtime_ns, info.st_size))
    except OSError:
        found = _RANGE
    return found[name]


@lru_cache(maxsize=4)
def _range(login_defs: Path, _mark: tuple[int, int, int]) -> dict[str, int]:
    """Read the file, once as long as it is the same: every start asks."""
    found: dict[str, int] = {}
    for fields in map(str.split, login_defs.read_text(errors="replace").splitlines()):
        if len(fields) >= 2 and fields[0] in _RANGE and fields[1].isdigit():
            found.setdefault(fields[0], int(fields[1]))
    return _RANGE | found


def home_base(defaults: Path = _USERADD_DEFAULTS) -> Path:
    """Return the directory in which useradd makes homes."""
    try:
        lines = defaults.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    found = [line.removeprefix("HOME=").strip() for line in lines if line.startswith("HOME=/")]
    return Path(found[-1] if found else "/home")


def free_id(entries: Entries) -> int:
    """Return an id that neither has nor ever had a person or group: above all that were given.

    Raises ``HostError`` when none is left.
    """
    low, high = setting("UID_MIN"), setting("UID_MAX")
    taken: set[int] = {entry.pw_uid for entry in pwd.getpwall()} | entries.given
    taken |= {group.gr_gid for group in grp.getgrall()}
    above = max((number for number in taken if low <= number <= high), default=low - 1) + 1
    for number in chain(range(above, high + 1), range(low, above)):
        # What a directory service knows need not be among all that are listed.
        if number not in taken and not _is_known(number):
            return number
    raise HostError(
        f"No user id is left on this node between {low} and {high}.",
        "An administrator can raise UID_MAX in /etc/login.defs.",
    )


def _is_known(number: int) -> bool:
    for look_up in (pwd.getpwuid, grp.getgrgid):
        try:
            look_up(number)
        except KeyError:
            continue
        return True
    return False
