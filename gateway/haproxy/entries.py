"""What HAProxy is told about one kind of request: the key it looks up and the value it finds.

The configuration in ``deploy/templates/haproxy.cfg`` makes the same key from a request, and takes
the value apart. The key holds whole header fields: what was decided about a ``Cookie`` counts for
that ``Cookie`` and for no other.
"""

from ..forwarding import Header, Headers, header, to_app
from ..gate import Admitted

_SEPARATOR = b"\x01"
#: Fields that are a part of the key, in its order, and at most once in a request.
_KEYED = (b"authorization", b"cookie")
#: Longest key, in bytes: large cookies go through the gateway.
MAX_KEY = 6000
#: What a node may ask to be set so that HAProxy can do it, too.
_INJECTABLE = frozenset((b"authorization", b"x-forwarded-prefix"))
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:|")


def key_of(admitted: Admitted) -> bytes | None:
    """Return what HAProxy makes of such a request; ``None`` if it is to leave it to the gateway."""
    headers = admitted.sent.headers
    if admitted.sent.bearer is None and not admitted.question.sessions:
        return None  # it passed by a token in its query, of which the key says nothing
    if any(sum(name == keyed for name, _ in headers) > 1 for keyed in _KEYED):
        return None
    place = admitted.path.prefix.rstrip(b"/")
    values = (header(headers, keyed) for keyed in _KEYED)
    key = _SEPARATOR.join((admitted.sent.host, place, *values))
    parts = key.split(_SEPARATOR)
    printable = all(byte >= 0x20 and byte != 0x7F for part in parts for byte in part)
    return key if printable and len(parts) == 4 and len(key) <= MAX_KEY else None


def value_of(
    admitted: Admitted, inject: tuple[Header, ...], *, strip: bool, slot: str, until: int
) -> bytes | None:
    """Return ``until|slot|app|user|kind|prefix|authorization|cookies``; ``None`` if it can't be.

    ``until``: Unix time at which it ends. The last two are what the app is sent. ``kind`` is ``0``
    if it is sent both and knows its prefix, as is usual; with an ``s`` the prefix is stripped.
    """
    grant, sent = admitted.grant, admitted.sent
    if not {name for name, _ in inject} <= _INJECTABLE:
        return None
    passed = to_app(sent.headers, sent.cookies.rest, [], dict(inject))
    parts = [
        str(until).encode(),
        slot.encode(),
        grant.app_id.encode(),
        grant.user.encode("ascii", "replace"),
        _kind(passed, strip=strip),
        header(passed, b"x-forwarded-prefix"),
        header(passed, b"authorization"),
    ]
    if any(b"|" in part for part in parts):
        return None
    value = b"|".join([*parts, header(passed, b"cookie")])
    return value if all(byte >= 0x20 and byte != 0x7F for byte in value) else None


def _kind(passed: Headers, *, strip: bool) -> bytes:
    usual = header(passed, b"authorization") and header(passed, b"cookie") and not strip
    return b"0" if usual else b"1s" if strip else b"1"


def escaped(text: bytes) -> bytes:
    """Return ``text`` as one word of HAProxy's command line."""
    return b"".join(bytes((byte,)) if byte in _PLAIN else b"\\" + bytes((byte,)) for byte in text)
