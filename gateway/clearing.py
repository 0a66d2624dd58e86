"""A way out of too many cookies: the fields that expire them, wherever a page can have set them."""

import re
from collections import Counter

from .forwarding import HOST_PREFIX, Header, Headers, parse_app_path

#: Bytes of all the fields of one answer: HAProxy, and browsers, take no more than some times that. The
#: largest cookies go first, so that the next answer clears what is left.
_MOST = 32 * 1024
#: What people are signed in by, here and at a server of the same host name; there is one of each.
_KEPT = frozenset((b"aen_gateway", b"aen_rounds", b"aen_session", b"aen_csrf"))
_BY_HOST = HOST_PREFIX.lower().encode()
_BY_HTTPS = (_BY_HOST, b"__secure-")
_TARGET = re.compile(rb"[A-Z]+ (/[^ ?]*)")
_COOKIE = re.compile(rb"\r\ncookie:([^\r\n]*)", re.IGNORECASE)


def clearing(headers: Headers, prefix: bytes, domain: bytes = b"") -> list[Header]:
    """Return the fields that expire the cookies of a request for what is below ``prefix``.

    ``domain``: where pages of other hosts can have set some, too.
    """
    fields: list[Header] = []
    size = 0
    for name, often in _sent(headers):
        values = [name + b"=; Max-Age=0" + place for place in _places(name, often, prefix, domain)]
        size += sum(map(len, values))
        if fields and size > _MOST:
            break
        fields += [(b"set-cookie", value) for value in values]
    return fields


def clearing_of(head: bytes, domain: bytes = b"") -> list[Header]:
    """Return these fields for a head of which only the beginning came, for the cookies in that."""
    target, cookies = _TARGET.match(head), _COOKIE.search(head)
    path = parse_app_path(target[1]) if target else None
    prefix = path.prefix if path else b"/"
    return clearing([(b"cookie", cookies[1])], prefix, domain) if cookies else []


def _sent(headers: Headers) -> list[tuple[bytes, int]]:
    """Return the names of all cookies, those of most bytes first, and how often each came."""
    often: Counter[bytes] = Counter()
    size: Counter[bytes] = Counter()
    for field, value in headers:
        if field == b"cookie":
            for pair in value.split(b";"):
                name = pair.partition(b"=")[0].strip()
                often[name] += 1
                size[name] += len(pair)
    del often[b""]
    return [(name, often[name]) for name in sorted(often, key=lambda name: (-size[name], name))]


def _places(name: bytes, often: int, prefix: bytes, domain: bytes) -> list[bytes]:
    """Return the attributes by which a cookie may have been set that came ``often`` times."""
    lower = name.lower()
    secure = b"; Secure" if lower.startswith(_BY_HTTPS) else b""
    kept = name.removeprefix(HOST_PREFIX.encode()) in _KEPT
    if lower.startswith(_BY_HOST):
        return [] if kept else [b"; Path=/" + secure]
    if kept and often == 1:
        return []
    where = [b"; Path=" + path + secure for path in _paths(prefix)]
    whole = [place + b"; Domain=" + domain for place in where] if domain else []
    return [*(where[1:] if kept else where), *whole]


def _paths(prefix: bytes) -> list[bytes]:
    """Return all paths whose cookies are sent to ``/<owner>/<project>/<app>/``."""
    names = [name for name in prefix.split(b"/") if name]
    above = [b"/" + b"/".join(names[:count]) for count in range(1, len(names) + 1)]
    return [b"/", *(path + end for path in above for end in (b"", b"/"))]
