"""What may pass between a browser and an app, and in which form.

Pure functions on paths, cookies and header lists, as ASGI has them: names and values are bytes.
Nothing here reads or writes anything, so each rule can be tested by itself.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

Header = tuple[bytes, bytes]
Headers = list[Header]

SESSION_COOKIE = "aen_gateway"
#: How API tokens of the server begin, where they stand in a query.
_QUERY_TOKEN = b"token=aen_"
#: More session cookies than this are no accident.
MAX_SESSIONS = 8
#: Sum of all header names and values of a request; apps refuse more than 64 KiB.
MAX_HEADER_BYTES = 48 * 1024

_NAME = rb"([a-z][a-z0-9-]{1,31})"
_APP_PATH = re.compile(rb"\A/" + _NAME + rb"/" + _NAME + rb"/" + _NAME + rb"(?:/.*)?\Z", re.DOTALL)
_PROJECT_PATH = re.compile(rb"\A/" + _NAME + rb"/" + _NAME + rb"/?\Z")
_SLASH = rb"(?:/|\\|%2f|%5c)"
# A parent segment in any encoding, NUL, control characters, and the overlong forms of "." and "/".
_BAD_PATH = re.compile(
    _SLASH + rb"(?:\.|%2e){2}(?:" + _SLASH + rb"|\Z)|%00|[\x00-\x20\x7f-\xff\\]|%c0%a[ef]",
    re.IGNORECASE,
)

# Connection-level fields: each side of the gateway has its own connection (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer"
    b" transfer-encoding upgrade http2-settings expect".split()
)
# Fields by which a proxy in front of an app says who or where the client is.
_SPOOFABLE = frozenset(
    b"forwarded x-real-ip x-client-ip x-cluster-client-ip true-client-ip cf-connecting-ip"
    b" fastly-client-ip x-scheme x-url-scheme x-rewrite-url x-user x-username x-email x-groups"
    b" x-webauth-user front-end-https proxy remote-user remote-groups".split()
)
_SPOOFABLE_PREFIXES = (
    b"x-forwarded-", b"x-original-", b"x-remote-", b"x-auth-", b"x-authenticated-", b"x-aen-",
    b"aen-", b"x-client-cert", b"ssl-client-", b"x-ssl-", b"x-envoy-", b"x-token-",
)  # fmt: skip
_REBUILT = frozenset((b"content-length", b"cookie"))
_DROPPED = _HOP_BY_HOP | _SPOOFABLE | _REBUILT
_HANDSHAKE = frozenset(
    (b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions",
     b"sec-websocket-protocol", b"sec-websocket-accept")
)  # fmt: skip
# Answers that would change how the browser treats the whole host, which apps share.
_WHOLE_HOST = frozenset(
    (b"alt-svc", b"strict-transport-security", b"clear-site-data", b"public-key-pins",
     b"expect-ct", b"nel", b"report-to")
)  # fmt: skip
_NOT_TO_CLIENT = _HOP_BY_HOP | _WHOLE_HOST
_OUR_COOKIES = (b"aen_", b"__host-", b"__secure-aen")
_OUR_REQUEST_COOKIES = (b"aen_", b"__host-aen", b"__secure-aen")


class BadRequest(Exception):
    """The request is not well-formed enough to be passed on; the text says why."""


class AppPath(NamedTuple):
    """The three names of an app's address, and ``/<owner>/<project>/<app>/``."""

    owner: str
    project: str
    app: str
    prefix: bytes


class Cookies(NamedTuple):
    """``sessions``: the values of our session cookie, as sent. ``rest``: what the app may see."""

    sessions: tuple[str, ...]
    rest: bytes


class Framing(NamedTuple):
    """How a request's body is delimited; ``length`` counts for ``length`` only."""

    kind: Literal["none", "length", "chunked"]
    length: int = 0


def parse_app_path(raw_path: bytes) -> AppPath | None:
    """Return the app that ``raw_path`` (still percent-encoded) names, or ``None``."""
    found = _APP_PATH.match(raw_path)
    if found is None:
        return None
    owner, project, app = found.groups()
    prefix = b"/%b/%b/%b/" % (owner, project, app)
    return AppPath(owner.decode(), project.decode(), app.decode(), prefix)


def is_project_path(raw_path: bytes) -> bool:
    """Return whether ``raw_path`` is ``/<owner>/<project>``, a page that the server has."""
    return _PROJECT_PATH.match(raw_path) is not None


def check_path(raw_path: bytes) -> None:
    """Raise ``BadRequest`` for a path that an app might read as another than it is."""
    if _BAD_PATH.search(raw_path):
        raise BadRequest("The address holds a part that is not allowed.")


def check_headers(headers: Headers) -> int:
    """Return the size of all names and values; raises ``BadRequest`` for two ``Host`` fields."""
    size = hosts = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name == b"host":
            hosts += 1
    if hosts > 1:
        raise BadRequest("The request names two hosts.")
    return size


def header(headers: Iterable[Header], wanted: bytes) -> bytes:
    """Return the first value of the field ``wanted`` (lower case), or ``b""``."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""


def cookies_of(headers: Iterable[Header]) -> Cookies:
    """Return our session cookies and the app's, from all ``Cookie`` fields of a request."""
    values = [value for name, value in headers if name == b"cookie"]
    if not values:
        return Cookies((), b"")
    return _split_cookies(values[0] if len(values) == 1 else b"; ".join(values))


@lru_cache(maxsize=256)
def _split_cookies(line: bytes) -> Cookies:
    sessions: list[str] = []
    rest: list[bytes] = []
    for part in line.split(b";"):
        pair = part.strip()
        name, _, value = pair.partition(b"=")
        name = name.strip()
        if name.decode("latin-1") == SESSION_COOKIE:
            sessions.append(value.strip().decode("latin-1"))
        elif pair and not name.lower().startswith(_OUR_REQUEST_COOKIES):
            rest.append(pair)
    return Cookies(tuple(sessions), b"; ".join(rest))


def bearer_of(headers: Iterable[Header], sessions: tuple[str, ...] = ()) -> str | None:
    """Return the token of ``Authorization: Bearer`` or, as Jupyter's clients write, ``token``.

    ``token`` beside a session is not ours: pages of Jupyter send the app's own token that way.
    """
    scheme, token = _scheme_and_token(header(headers, b"authorization"))
    if scheme == b"bearer" or (scheme == b"token" and not sessions):
        return token.decode("latin-1")
    return None


def _scheme_and_token(value: bytes) -> tuple[bytes, bytes]:
    scheme, _, token = value.strip().partition(b" ")
    return scheme.lower(), token.strip()


def split_query(query: bytes) -> tuple[str | None, bytes]:
    """Return our API token in ``?token=``, if there is one, and the query without it.

    Jupyter's clients send it that way where they open a WebSocket. Any other ``token`` is the
    app's own and stays.
    """
    if _QUERY_TOKEN not in query:
        return None, query
    parts = query.split(b"&")
    ours = [part for part in parts if part.startswith(_QUERY_TOKEN)]
    rest = b"&".join(part for part in parts if part not in ours)
    return (ours[0].partition(b"=")[2].decode("latin-1") if ours else None), rest


def same_origin(origin: bytes, host: bytes, public_origin: bytes) -> bool:
    """Return whether ``Origin`` is the gateway's own: its public one, or that of ``Host``."""
    if origin == public_origin:
        return True
    scheme = public_origin.partition(b"://")[0]
    return bool(host) and origin.lower() == scheme + b"://" + host.lower()


def framing_of(headers: Iterable[Header]) -> Framing:
    """Return how the body is delimited; raises ``BadRequest`` where two readers might differ."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths or len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise BadRequest("The length of the request's body is ambiguous.")
        return Framing("chunked")
    if not lengths:
        return Framing("none")
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise BadRequest("The length of the request's body is ambiguous.")
    return Framing("length", int(lengths[0]))


def to_app(
    headers: Headers,
    cookies: bytes,
    forwarded: Headers,
    inject: Mapping[bytes, bytes],
) -> Headers:
    """Return the header fields for the app.

    ``forwarded`` are the fields that say where the client is, ``inject`` those the node asked to
    set (names in lower case): both replace what the client sent. Neither framing nor connection
    fields are in the result; the caller adds its own.
    """
    named = _named_in_connection(headers)
    out: Headers = []
    for original, value in headers:
        name = original.lower()
        if not _may_pass(name) or name in inject or name in named:
            continue
        if name == b"authorization" and _scheme_and_token(value)[0] in (b"bearer", b"token"):
            continue
        out.append((name, value))
    if cookies:
        out.append((b"cookie", cookies))
    out += forwarded
    out += inject.items()
    return out


def to_app_websocket(
    headers: Headers,
    cookies: bytes,
    forwarded: Headers,
    inject: Mapping[bytes, bytes],
) -> Headers:
    """Return the header fields of a WebSocket handshake, without those of the handshake itself."""
    passed = to_app(headers, cookies, forwarded, inject)
    return [(name, value) for name, value in passed if name not in _HANDSHAKE]


@lru_cache(maxsize=1024)  # the same few dozen names come with every request
def _may_pass(name: bytes) -> bool:
    # Many servers read "_" and "-" in a name as one; a field with "_" is not needed by anyone.
    return name not in _DROPPED and b"_" not in name and not name.startswith(_SPOOFABLE_PREFIXES)


def _named_in_connection(headers: Headers) -> frozenset[bytes]:
    values = [value for name, value in headers if name.lower() == b"connection"]
    if not values or values == [b"keep-alive"]:
        return frozenset()
    names = {token.strip().lower() for value in values for token in value.split(b",")}
    return frozenset(names - {b"host"})


def forwarded_fields(client: str, scheme: bytes, host: bytes) -> Headers:
    """Return the fields that tell an app the client's address and the address it asked for."""
    return [
        (b"x-forwarded-for", client.encode("latin-1", "replace")),
        (b"x-forwarded-proto", scheme),
        (b"x-forwarded-host", host),
    ]


def to_client(headers: Headers, prefix: bytes, status: int = 200) -> Headers:
    """Return the app's header fields as the browser may see them."""
    named = _named_in_connection(headers)
    if status in (204, 304) or header(headers, b"transfer-encoding"):
        named |= {b"content-length"}
    out: Headers = []
    for original, value in headers:
        name = original.lower()
        if name in _NOT_TO_CLIENT or name in named:
            continue
        if name == b"set-cookie":
            cookie = app_cookie(value, prefix)
            if cookie is not None:
                out.append((name, cookie))
        elif name != b"service-worker-allowed" or value.strip().startswith(prefix):
            out.append((name, value))
    return out


def app_cookie(value: bytes, prefix: bytes) -> bytes | None:
    """Return an app's ``Set-Cookie`` bound to its own path, or ``None`` if it may not be set.

    A cookie without a name is refused: browsers send ``=aen_x=1`` back as ``aen_x=1``.
    """
    pair, *attributes = value.split(b";")
    name, equals, _ = pair.partition(b"=")
    name = name.strip().lower()
    if not equals or not name or name.startswith(_OUR_COOKIES):
        return None
    path = prefix
    kept = [pair.strip()]
    for attribute in attributes:
        key, _, given = attribute.strip().partition(b"=")
        if key.strip().lower() == b"path":
            path = given.strip() if given.strip().startswith(prefix) else prefix
        elif key.strip().lower() != b"domain":
            kept.append(attribute.strip())
    return b"; ".join([*kept, b"Path=" + path])


def serialize_request(method: bytes, target: bytes, headers: Headers) -> bytes:
    """Return the head of an HTTP/1.1 request.

    Raises ``BadRequest`` if a name or value would end its line.
    """
    lines = [method + b" " + target + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in headers]
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        raise BadRequest("A header field holds a line break.")
    return head


def local_path(value: str) -> str:
    """Return ``value`` if it is a path of this gateway, else ``/``.

    Browsers read ``//x`` and ``/\\x`` as other hosts and skip tabs and line breaks.
    """
    if len(value) > 4096 or not value.startswith("/") or value.startswith("//"):
        return "/"
    if "\\" in value or any(not 0x20 < ord(character) < 0x7F for character in value):
        return "/"
    return value
