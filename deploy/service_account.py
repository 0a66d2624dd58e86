"""The system account that server, worker and gateway run as when root starts the site."""

import pwd
import subprocess
from pathlib import Path

from deploy.say import Problem, step

_FIRST_PERSON = 1000
_NO_HOME = "/nonexistent"


def ensure(name: str) -> pwd.struct_passwd:
    """Return the account, made if it is not there. Raises ``Problem`` where it cannot be had."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        _create(name)
        found = pwd.getpwnam(name)
        step("Account", f"made the system account {name}, for server, worker and gateway")
    if found.pw_uid == 0 or found.pw_uid >= _FIRST_PERSON:
        raise Problem(
            f"The account {name} is not a system account (its user id is {found.pw_uid}).",
            "AEN runs its services as the system account of that name, and nobody else may be it.",
            f"Rename the account that is there: usermod --login OTHER {name}",
        )
    return found


def _create(name: str) -> None:
    shell = next(
        (path for path in ("/usr/sbin/nologin", "/sbin/nologin") if Path(path).exists()),
        "/bin/false",
    )
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", _NO_HOME]
    try:
        done = subprocess.run(
            [*command, "--shell", shell, "--comment", "AEN services", name],
            capture_output=True,
            text=True,
            check=False,
        )
        failed = done.returncode != 0 and done.stderr.strip()
    except OSError as error:
        failed = f"useradd: {error.strerror}"
    if failed:
        raise Problem(
            f"The system account {name} could not be made.",
            failed,
            "Make it by hand (a system account, no password, no shell), or run "
            "make run as an ordinary account.",
        )
