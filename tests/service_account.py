"""The account ``aen``, which a site started by root makes: gone again with the last who used it."""

import contextlib
import os
import pwd
import subprocess


@contextlib.contextmanager
def kept_as_it_was():
    """Remove the account at the end if it was not there at the beginning.

    One of several workers leaves that to the process that started them all.
    """
    ours = os.geteuid() == 0 and "PYTEST_XDIST_WORKER" not in os.environ and not _is_there()
    try:
        yield
    finally:
        if ours and _is_there():
            subprocess.run(["userdel", "aen"], capture_output=True, check=False)


def _is_there():
    try:
        pwd.getpwnam("aen")
    except KeyError:
        return False
    return True
