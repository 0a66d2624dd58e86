"""Secrets that the set-up makes itself, each in a file of its owner's alone."""

import os
import secrets
from pathlib import Path


def ensure(path: Path, uid: int, gid: int) -> bool:
    """Write a new random secret to ``path`` if there is none; say whether it was made.

    Never follows a link and never writes to what is there: the directory belongs to the account
    that the secret is for, while this may run as root.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)
        os.fchown(descriptor, uid, gid)
        file.write(secrets.token_urlsafe(48) + "\n")
    return True
