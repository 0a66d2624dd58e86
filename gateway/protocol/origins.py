"""The address of an app, which the server links to and the gateway holds requests to.

A gateway's public address is ``https://apps.example``: all apps share that origin, each below its
path. Or it begins with a star, ``https://*.apps.example``: then each app has a name of its own
below ``apps.example``, and so an origin of its own; the gateway's own pages stay at the bare name.
"""

import base64
import hashlib
import re
from functools import lru_cache
from urllib.parse import urlsplit

#: What DNS allows for one part of a name (RFC 1035).
LONGEST = 63
_STAR = "://*."
_BETWEEN = "--"
# No name below may hold or make another "--": then these are read in one way only.
_PLAIN = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_SHOWN = 29  # two hyphens and 32 characters of a digest follow


def has_origins(public_url: str) -> bool:
    """Return whether each app has an origin of its own at that gateway."""
    return _STAR in public_url


def wrong_star(public_url: str) -> str:
    """Return in a sentence why an address with a star can't be a gateway's; ``""`` if it can."""
    if "*" not in public_url:
        return ""
    own = own_address(public_url)
    if "*" in own or not has_origins(public_url):
        return "A star stands only at the beginning of the host’s name: https://*.apps.example."
    host = urlsplit(own).hostname or ""
    if own.startswith("https://") or host == "localhost" or host.endswith(".localhost"):
        return ""
    return "A name for each app needs https: without, apps can set cookies for one another."


def own_address(public_url: str) -> str:
    """Return where the gateway's own pages are."""
    return public_url.replace(_STAR, "://", 1)


def app_address(public_url: str, path: str) -> str:
    """Return the whole address of ``path``, which is ``/<owner>/<project>/<app>/…``."""
    if not has_origins(public_url):
        return public_url + path
    owner, project, app = path.split("/")[1:4]
    return public_url.replace("*", label(owner, project, app), 1) + path


@lru_cache(4096)
def label(owner: str, project: str, app: str) -> str:
    """Return the part of a host's name that stands for an app: 1 to 63 characters.

    ``<app>--<project>--<owner>`` where that can be read in one way only and is no longer than a name
    may be; else ``<app>--`` and a digest. No two apps have the same one.
    """
    names = (app, project, owner)
    plain = _BETWEEN.join(names)
    # DNS keeps names with "--" as their third and fourth character for itself ("xn--").
    if len(plain) <= LONGEST and len(app) != 2 and all(map(_PLAIN.fullmatch, names)):
        return plain
    digest = hashlib.sha256("/".join((owner, project, app)).encode()).digest()[:20]
    shown = re.sub("-+", "-", app)[:_SHOWN].strip("-")
    shown = shown if len(shown) != 2 else f"{shown}-app"
    return shown + _BETWEEN + base64.b32encode(digest).decode().lower()


def path_of(label: str) -> str | None:
    """Return ``/<owner>/<project>/<app>/`` of a plain label; ``None`` for one with a digest."""
    names = label.split(_BETWEEN)
    if len(names) != 3 or not all(map(_PLAIN.fullmatch, names)):
        return None
    app, project, owner = names
    return f"/{owner}/{project}/{app}/"
