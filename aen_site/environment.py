"""Reading the settings of a site from its environment, and refusing bad ones in plain words."""

import os
import re
import stat
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from gateway.forwarding import Proxies

#: How Django's own generated example begins, and how many different characters a secret has.
_EXAMPLE = "django-insecure-"
_FEWEST = 8
_APP = re.compile(r"[a-z][a-z0-9-]{1,31}")
#: Hours; what a node reports of an app's use may be minutes old.
_SHORTEST, _LONGEST = 0.1, 10_000


def home() -> Path:
    """Return ``AEN_HOME``: the folder of all state."""
    default = "/var/lib/aen" if os.geteuid() == 0 else Path(__file__).parent.parent / "var"
    return Path(os.environ.get("AEN_HOME", default)).absolute()


def secret(name: str) -> str:
    """Return the secret ``name``, or the content of the file that ``name_FILE`` names.

    Raises ``ImproperlyConfigured`` when it is missing, short, or its file is open to others.
    """
    if value := os.environ.get(name):
        return _long_enough(name, value)
    file = os.environ.get(f"{name}_FILE")
    if not file:
        raise ImproperlyConfigured(f"{name}_FILE is not set: it names the file with the secret.")
    path = Path(file)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        value = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE can’t be read: {error}") from error
    if mode & 0o077:
        raise ImproperlyConfigured(f"{path} can be read by others. Mend it with: chmod 600 {path}")
    return _long_enough(str(path), value)


def hours(name: str) -> float:
    """Return a number of hours, 0 where nothing is set. Raises ``ImproperlyConfigured``."""
    return _hours(name, os.environ.get(name, "").strip() or "0")


def hours_of_apps(name: str) -> dict[str, float]:
    """Return hours by the app's name, of ``lab=24,terminal=2``. Raises ``ImproperlyConfigured``."""
    found: dict[str, float] = {}
    for item in filter(None, map(str.strip, os.environ.get(name, "").split(","))):
        app, sign, value = (part.strip() for part in item.partition("="))
        if not sign or not _APP.fullmatch(app) or app in found:
            raise ImproperlyConfigured(
                f"{name} has “{item}”. It names each app once, with its hours: lab=24,terminal=2"
            )
        found[app] = _hours(name, value)
    return found


def proxies(name: str, *, default: str) -> tuple[str, ...]:
    """Return addresses and networks, separated by blanks or commas. Raises ``ImproperlyConfigured``."""
    names = tuple(os.environ.get(name, default).replace(",", " ").split())
    try:
        Proxies(names)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name}: {error}. It holds addresses and networks of proxies, or unix."
        ) from error
    return names


def _hours(name: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if number != 0 and not _SHORTEST <= number <= _LONGEST:  # nan is not, either
        raise ImproperlyConfigured(
            f"{name} has “{value}” where hours are expected: a number from {_SHORTEST} to "
            f"{_LONGEST}, or 0 for never."
        )
    return number


def _long_enough(where: str, value: str) -> str:
    if len(value) < 32:
        raise ImproperlyConfigured(f"The secret in {where} is shorter than 32 characters.")
    if value.startswith(_EXAMPLE) or len(set(value)) < _FEWEST:
        raise ImproperlyConfigured(
            f"The secret in {where} is an example, which everybody knows. Make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    return value
