"""Which accounts may have projects and apps, and what is wrong with the others."""

import os
import pwd
from pathlib import Path

from compute_agent.host import passwd
from compute_agent.host.account_tools import setting
from compute_agent.host.errors import HostError

#: Ids that mean "nobody" or "no id" on Linux, whatever login.defs says.
NOBODY = frozenset({65534, 65535, 2**32 - 2, 2**32 - 1})
OTHER_NAME = "Give this person's AEN account another name."
_NO_LOGIN = ("nologin", "false")


def person(entry: pwd.struct_passwd, service_account: str) -> None:
    """Raise ``HostError`` if ``entry`` is root, a system account, AEN's own or two accounts."""
    not_ours(entry, service_account, OTHER_NAME)
    is_persons(entry, OTHER_NAME)
    passwd.check_one_name(entry)


def not_ours(entry: pwd.struct_passwd, service_account: str, mend: str) -> None:
    """Raise ``HostError`` if ``entry`` is root's or AEN's own."""
    if entry.pw_uid == 0:
        raise HostError(f"Apps do not run as {entry.pw_name}: it is the root account.", mend)
    service = passwd.find(service_account) if service_account else None
    ours = {os.geteuid(), service.pw_uid} if service else {os.geteuid()}
    if entry.pw_name == service_account or entry.pw_uid in ours:
        raise HostError(f"Apps do not run as {entry.pw_name}: it is AEN's own account.", mend)


def is_persons(entry: pwd.struct_passwd, mend: str) -> None:
    """Raise ``HostError`` if ``entry`` is a system account, by its uid."""
    if entry.pw_uid < setting("UID_MIN") or entry.pw_uid in NOBODY:
        raise HostError(
            f"Apps do not run as {entry.pw_name}: it is a system account (uid {entry.pw_uid}).",
            mend,
        )


def ready(entry: pwd.struct_passwd) -> None:
    """Raise ``HostError`` where an account that somebody else made is not fit for apps."""
    home, name = Path(entry.pw_dir), entry.pw_name
    try:
        owner = home.stat().st_uid
    except OSError:
        raise HostError(
            f"The account {name} has no home: {home} is not there.",
            f"An administrator can add it: install -d -m 700 -o {name} -g {entry.pw_gid} {home}",
        ) from None
    if owner != entry.pw_uid:
        raise HostError(
            f"The home of the account {name}, {home}, belongs to uid {owner}.",
            f"An administrator can mend that: chown {name}: {home}",
        )
    if Path(entry.pw_shell).name in _NO_LOGIN:
        raise HostError(
            f"The account {name} may not log in: its shell is {entry.pw_shell}.",
            f"If it may have apps, an administrator gives it a shell: usermod -s /bin/bash {name}",
        )
