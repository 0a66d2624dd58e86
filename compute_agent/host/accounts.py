"""The UNIX accounts that apps run as: found, or made where the node may make them.

Apps never run as root, as a system account or as AEN's own service account. Nothing here
changes an account that exists.
"""

import grp
import hashlib
import os
import pwd
import subprocess
import threading
from pathlib import Path
from typing import NamedTuple

from compute_agent.host import privileges
from compute_agent.host.errors import HostError

_LOGIN_DEFS = Path("/etc/login.defs")
#: Ids that mean "nobody" or "no id" on Linux, whatever login.defs says.
_NOBODY = frozenset({65534, 65535, 2**32 - 2, 2**32 - 1})
_GROUP_PREFIX = "aen-"
_LONGEST_NAME = 32
# The tools are the system's own, whatever the agent's PATH says.
_TOOLS = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
# useradd fails at once when another one holds the lock on the account files.
_changing = threading.Lock()


class Account(NamedTuple):
    """An account as apps and files need it. ``group`` is its private group, ``None`` if it has
    none: then group rights would open its files to others."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str
    group: int | None


def uid_min(login_defs: Path = _LOGIN_DEFS) -> int:
    """Return the lowest id of a person's account on this machine (1000 where nothing says)."""
    try:
        lines = login_defs.read_text(errors="replace").splitlines()
    except OSError:
        return 1000
    for fields in (line.split() for line in lines):
        if len(fields) >= 2 and fields[0] == "UID_MIN" and fields[1].isdigit():
            return int(fields[1])
    return 1000


def current_account() -> Account:
    """Return the account that runs this process, for nodes where every app runs as one person."""
    return _describe(pwd.getpwuid(os.getuid()))


def ensure_account(name: str, service_account: str, create: bool = True) -> Account:
    """Return the account ``name``, made with its home and a group of its own if it is missing.

    Raises ``HostError`` for an account that must not run apps, or that cannot be made.
    """
    with _changing:
        entry = _find(name)
        if entry is None:
            if not create:
                raise HostError(
                    f"There is no account {name} on this node.",
                    "An administrator can add it; this node does not make accounts itself.",
                )
            entry = _create(name)
        check_person(entry, service_account)
        return _describe(entry, make_group=create)


def check_person(entry: pwd.struct_passwd, service_account: str) -> None:
    """Raise ``HostError`` if ``entry`` is root, a system account or AEN's service account."""
    mend = "Give this person's AEN account another name."
    if entry.pw_uid == 0:
        raise HostError(f"Apps do not run as {entry.pw_name}: it is the root account.", mend)
    service = _find(service_account) if service_account else None
    if entry.pw_name == service_account or (service and service.pw_uid == entry.pw_uid):
        raise HostError(f"Apps do not run as {entry.pw_name}: it is AEN's own account.", mend)
    if entry.pw_uid < uid_min() or entry.pw_uid in _NOBODY:
        raise HostError(
            f"Apps do not run as {entry.pw_name}: it is a system account (uid {entry.pw_uid}).",
            mend,
        )


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create(name: str) -> pwd.struct_passwd:
    try:
        grp.getgrnam(name)
    except KeyError:
        pass
    else:
        raise HostError(
            f"The account {name} cannot be made: the node has a group of that name already.",
            "Give this person's AEN account another name, or have an administrator add the account",
        )
    _run(
        ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--", name],
        f"The account {name} could not be made",
    )
    entry = _find(name)
    if entry is None:
        raise HostError(f"The account {name} was made but the node does not find it.")
    return entry


def _run(command: list[str], failure: str) -> None:
    try:
        with privileges.handed_down(privileges.OF_ACCOUNT_TOOLS):
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=60, env=_TOOLS
            )
    except FileNotFoundError:
        raise HostError(
            f"{failure}: this node has no {command[0]}.", "An administrator can add the account."
        ) from None
    except subprocess.TimeoutExpired:
        raise HostError(f"{failure}: {command[0]} did not end within 60 s.") from None
    if result.returncode != 0:
        said = (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
        raise HostError(f"{failure}: {said}", "An administrator can add the account by hand.")


def _describe(entry: pwd.struct_passwd, make_group: bool = False) -> Account:
    group = _private_group(entry)
    if group is None and make_group:
        group = _make_group(entry.pw_name)
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=entry.pw_dir,
        shell=entry.pw_shell or "/bin/sh",
        group=group,
    )


def _private_group(entry: pwd.struct_passwd) -> int | None:
    """Return the account's primary group if nobody else is in it, or the one made for it."""
    try:
        group = grp.getgrgid(entry.pw_gid)
    except KeyError:
        return None
    alone = set(group.gr_mem) <= {entry.pw_name}
    if alone and group.gr_name == entry.pw_name:
        return group.gr_gid
    if alone and not any(
        other.pw_gid == entry.pw_gid and other.pw_uid != entry.pw_uid for other in pwd.getpwall()
    ):
        return group.gr_gid
    try:
        own = grp.getgrnam(_group_name(entry.pw_name))
    except KeyError:
        return None
    return own.gr_gid if set(own.gr_mem) <= {entry.pw_name} else None


def _make_group(account: str) -> int:
    name = _group_name(account)
    _run(["groupadd", "--system", "--", name], f"The private group of {account} could not be made")
    return grp.getgrnam(name).gr_gid


def _group_name(account: str) -> str:
    name = _GROUP_PREFIX + account
    if len(name) <= _LONGEST_NAME:
        return name
    # Cut names could meet, and a shared group would open one person's files to the other.
    digest = hashlib.sha256(account.encode()).hexdigest()[:12]
    return f"{_GROUP_PREFIX}{account[:15]}-{digest}"
