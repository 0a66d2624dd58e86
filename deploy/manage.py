"""Commands of the server, on the site that runs here: what ``manage.py`` hands over to.

Run as root it becomes the account that owns the server's data first: a database file that root
made (SQLite makes some as it goes) could not be written by the server any more.
"""

import json
import os
import pwd
import sys
from pathlib import Path

from deploy import environment, options, paths
from deploy.say import Problem, problems_end_it


def main(arguments: list[str]) -> None:
    """Run the command ``arguments``, as ``django.core.management`` takes them."""
    with problems_end_it():
        checkout = os.environ.get("AEN_CHECKOUT")
        layout = paths.locate(os.environ, os.geteuid(), Path(checkout) if checkout else None)
        settle(layout)
        from django.conf import settings
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        try:
            settings.DATABASES  # noqa: B018 - read here, where a mistake is one line
        except ImproperlyConfigured as error:
            raise Problem("The site's settings cannot be used.", str(error)) from error
    execute_from_command_line(["manage.py", *arguments])


def settle(layout: paths.Layout) -> None:
    """Take on the site's environment and the account that its data belongs to.

    A database that is named now goes before the site's own: it may be the one to move to.
    """
    database = options.secret(os.environ, "AEN_DATABASE_URL")
    os.environ.update(recorded(layout))
    if database:
        os.environ["AEN_DATABASE_URL"] = database
    os.umask(0o077)
    become(layout.server)


def recorded(layout: paths.Layout) -> dict[str, str]:
    """Return the variables that the running site's server was given."""
    path = environment.recorded_at(layout)
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise Problem(
            f"There is no site in {layout.home}.",
            _other_site(layout),
            "Run make run first, or set AEN_HOME to the directory of the site.",
        ) from None
    except PermissionError:
        raise Problem(
            f"The site in {layout.home} belongs to another account.",
            "",
            f"Run this as {path.owner()}: sudo -u {path.owner()} python3 manage.py …",
        ) from None


def _other_site(layout: paths.Layout) -> str:
    if layout.home != paths.ROOT_HOME and paths.ROOT_HOME.exists():
        return f"There is one in {paths.ROOT_HOME}, which root started: sudo python3 manage.py …"
    return ""


def become(folder: Path) -> None:
    """As root, become the owner of ``folder`` for good; otherwise do nothing."""
    owner = folder.stat().st_uid
    if os.geteuid() != 0 or owner == 0:
        return
    person = pwd.getpwuid(owner)
    os.environ |= {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name}
    os.initgroups(person.pw_name, person.pw_gid)
    os.setgid(person.pw_gid)
    os.setuid(owner)


if __name__ == "__main__":
    main(sys.argv[1:])
