"""Addresses: which app one names, and what none may hold."""

import re
from functools import lru_cache
from typing import NamedTuple

from .types import BadRequest

#: How API tokens of the server begin, where they stand in a query.
_QUERY_TOKEN = b"token=aen_"

_NAME = rb"([a-z][a-z0-9-]{1,31})"
_APP_PATH = re.compile(rb"\A/" + _NAME + rb"/" + _NAME + rb"/" + _NAME + rb"(?:/.*)?\Z", re.DOTALL)
_PROJECT_PATH = re.compile(rb"\A/" + _NAME + rb"/" + _NAME + rb"/?\Z")
_KEPT_BYTES = 256
# Most addresses: nothing is encoded, and no segment begins with a dot.
_PLAIN_PATH = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)*+/?+")
_SLASH = rb"(?:/|\\|%2f|%5c)"
# A parent segment in any encoding, NUL, control characters, and the overlong forms of "." and "/".
_BAD_PATH = re.compile(
    _SLASH + rb"(?:\.|%2e){2}(?:" + _SLASH + rb"|\Z)|%00|[\x00-\x20\x7f-\xff\\]|%c0%a[ef]",
    re.IGNORECASE,
)


class AppPath(NamedTuple):
    """The three names of an app's address, and ``/<owner>/<project>/<app>/``."""

    owner: str
    project: str
    app: str
    prefix: bytes


def parse_app_path(raw_path: bytes) -> AppPath | None:
    """Return the app that ``raw_path`` (still percent-encoded) names, or ``None``."""
    # The three names say it all, and are those of few apps; long ones are not kept.
    after = raw_path.find(b"/", raw_path.find(b"/", raw_path.find(b"/", 1) + 1) + 1) + 1
    names = raw_path[:after] if after else raw_path
    return _kept_app_path(names) if len(names) <= _KEPT_BYTES else _app_path(names)


def _app_path(raw_path: bytes) -> AppPath | None:
    found = _APP_PATH.match(raw_path)
    if found is None:
        return None
    owner, project, app = found.groups()
    prefix = b"/%b/%b/%b/" % (owner, project, app)
    return AppPath(owner.decode(), project.decode(), app.decode(), prefix)


_kept_app_path = lru_cache(1024)(_app_path)


def is_project_path(raw_path: bytes) -> bool:
    """Return whether ``raw_path`` is ``/<owner>/<project>``, a page that the server has."""
    return _PROJECT_PATH.match(raw_path) is not None


def check_path(raw_path: bytes) -> None:
    """Raise ``BadRequest`` for a path that an app might read as another than it is."""
    if not _PLAIN_PATH.fullmatch(raw_path) and _BAD_PATH.search(raw_path):
        raise BadRequest("The address holds a part that is not allowed.")


def may_hold_token(query: bytes) -> bool:
    """Return whether the query could hold an API token of ours."""
    return _QUERY_TOKEN in query


def split_query(query: bytes) -> tuple[str | None, bytes]:
    """Return our API token in ``?token=``, if there is one, and the query without it.

    Jupyter's clients send it that way where they open a WebSocket. Any other ``token`` is the
    app's own and stays.
    """
    if not may_hold_token(query):
        return None, query
    parts = query.split(b"&")
    ours = [part for part in parts if part.startswith(_QUERY_TOKEN)]
    rest = b"&".join(part for part in parts if part not in ours)
    return (ours[0].partition(b"=")[2].decode("latin-1") if ours else None), rest


def target_of(raw_path: bytes, query: bytes, strip: bytes = b"") -> bytes:
    """Return path and query, byte for byte as the client sent them, less a token of ours.

    ``strip`` is what a path that begins with it loses, for an app that knows no prefix. No other
    slash than the first is left at the beginning: a path ``//x`` would read as another host.
    """
    if strip:
        raw_path = b"/" + raw_path[len(strip) :].lstrip(b"/")
    _, query = split_query(query)
    return raw_path + b"?" + query if query else raw_path


def local_path(value: str) -> str:
    """Return ``value`` if it is a path of this gateway, else ``/``.

    Browsers read ``//x`` and ``/\\x`` as other hosts and skip tabs and line breaks.
    """
    if len(value) > 4096 or not value.startswith("/") or value.startswith("//"):
        return "/"
    if "\\" in value or any(not 0x20 < ord(character) < 0x7F for character in value):
        return "/"
    return value
