"""Header fields: what an app is sent of a request's, and a browser of an app's answer's."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from .cookies import app_cookie
from .paths import check_path
from .sender import Sender
from .types import BadRequest, Header, Headers

#: Sum of all header names and values of a request; apps refuse more than 64 KiB.
MAX_HEADER_BYTES = 48 * 1024

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
_REBUILT = frozenset((b"content-length", b"cookie", b"host"))
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
# What every app's answer says beside its own: other origins neither frame nor embed it, and a page
# that opens it, or that it opens, gets no hold of it. A second policy can only narrow the first.
_FRAMES = (b"content-security-policy", b"frame-ancestors 'self'")
_UNLESS_SAID = (
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin-allow-popups"),
)
_GUARDS = [_FRAMES, *_UNLESS_SAID]
_MAY_BE_SAID = frozenset(name for name, _ in _UNLESS_SAID)
_BOUND = frozenset((b"set-cookie", b"service-worker-allowed"))
_NOT_TO_CLIENT = _HOP_BY_HOP | _WHOLE_HOST
_LOOKED_AT = _NOT_TO_CLIENT | _BOUND | {b"location"}


def check_headers(headers: Headers) -> int:
    """Return the size of all names and values; raises ``BadRequest`` without one ``Host``."""
    size = hosts = 0
    for name, value in headers:
        size += len(name) + len(value)
        if name == b"host":
            hosts += 1
    if hosts != 1:
        raise BadRequest("The request names no host, or more than one.")
    return size


def header(headers: Iterable[Header], wanted: bytes) -> bytes:
    """Return the first value of the field ``wanted`` (lower case), or ``b""``."""
    for name, value in headers:
        if name == wanted:
            return value
    return b""


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


def same_origin(origin: bytes, scheme: bytes, host: bytes) -> bool:
    """Return whether ``Origin`` is the one of pages that come from ``host``."""
    return bool(host) and origin.lower() == scheme + b"://" + host.lower()


def is_foreign(headers: Iterable[Header]) -> bool:
    """Return whether the browser says that a page of another origin wants this for itself.

    Links and addresses typed in are not that: they open a page of their own. Browsers that say
    nothing have ``Origin`` and ``frame-ancestors`` to go by.
    """
    if header(headers, b"sec-fetch-site") not in (b"same-site", b"cross-site"):
        return False
    mode, dest = header(headers, b"sec-fetch-mode"), header(headers, b"sec-fetch-dest")
    return mode != b"navigate" or dest not in (b"document", b"")


def to_app(
    headers: Headers,
    cookies: bytes,
    forwarded: Headers,
    inject: Mapping[bytes, bytes],
) -> Headers:
    """Return the header fields for the app.

    ``forwarded`` are those that say who asks for which host, ``inject`` those the node asked to
    set (names in lower case): both replace what the client sent. Neither framing nor connection
    fields are in the result; the caller adds its own.
    """
    named = _named_in_connection(headers)
    out = list(forwarded)
    for original, value in headers:
        name = original.lower()
        if not _may_pass(name) or name in inject or name in named:
            continue
        if name == b"authorization" and _scheme_and_token(value)[0] in (b"bearer", b"token"):
            continue
        out.append((name, value))
    if cookies:
        out.append((b"cookie", cookies))
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


def forwarded_fields(sender: Sender) -> Headers:
    """Return the fields that tell an app the client's address and the address it asked for.

    A proxy that put its own ``Host`` has said the browser's, which is the app's to see.
    """
    return [
        (b"host", sender.host),
        (b"x-forwarded-for", sender.client.encode("latin-1", "replace")),
        (b"x-forwarded-proto", sender.scheme),
        (b"x-forwarded-host", sender.host),
    ]


def to_client(headers: Headers, prefix: bytes, status: int = 200, strip: bytes = b"") -> Headers:
    """Return the app's header fields as the browser may see them, and those that guard an app.

    Interim answers (1xx) have no body, and nothing that would need a guard.
    ``strip`` is what the app's requests lost of their paths, and its redirects get back.
    """
    named = _named_in_connection(headers)
    if status < 200 or status in (204, 304) or header(headers, b"transfer-encoding"):
        named |= {b"content-length"}
    out: Headers = []
    for original, value in headers:
        name = original.lower()
        if name not in _LOOKED_AT and not named:
            out.append((name, value))
        elif name in named or name in _NOT_TO_CLIENT:
            continue
        elif name in _BOUND:
            bound = _bound_to_path(name, value, prefix)
            if bound is not None:
                out.append((name, bound))
        elif strip and name == b"location":
            out.append((name, _below(strip, value)))
        else:
            out.append((name, value))
    return out if status < 200 else _guarded(out)


def _guarded(fields: Headers) -> Headers:
    said = [name for name, _ in fields if name in _MAY_BE_SAID]
    if not said:  # as nearly always
        return fields + _GUARDS
    return fields + [field for field in _GUARDS if field[0] not in said]


def _below(prefix: bytes, location: bytes) -> bytes:
    """Return where a redirect leads of an app that takes ``prefix`` for the root."""
    local = location.startswith(b"/") and not location.startswith((b"//", prefix))
    return prefix + location[1:] if local else location


def _bound_to_path(name: bytes, value: bytes, prefix: bytes) -> bytes | None:
    """Return the value of a field that could reach beyond the app's path, so that it does not."""
    if name == b"set-cookie":
        return app_cookie(value, prefix)
    return value if _is_within(value.strip(), prefix) else None


def _is_within(path: bytes, prefix: bytes) -> bool:
    """Return whether a browser finds ``path`` below ``prefix``, dots and all resolved."""
    try:
        check_path(path)
    except BadRequest:
        return False
    return path.startswith(prefix)
