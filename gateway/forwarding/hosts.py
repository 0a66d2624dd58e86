"""Which host a request is for, and what its name stands for: the gateway, an app, or nothing of ours."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from ..protocol.origins import has_origins, own_address
from .types import BadRequest

_HOST = re.compile(rb"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::[0-9]{1,5})?")
# An absolute target (RFC 9112, 3.2.2): the scheme, and what stands before path or query.
_ABSOLUTE = re.compile(rb"([a-z][a-z0-9+.-]*)://([^/?#]*)", re.IGNORECASE)
_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}
#: Bytes of a name of DNS and a port.
_LONGEST = 260
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def check_target(target: bytes, host: bytes) -> None:
    """Raise ``BadRequest`` where a request's target names another host than its ``Host`` field.

    One reader would go by the target, another by the field.
    """
    found = _ABSOLUTE.match(target)
    if found is None:
        return
    port = _DEFAULT_PORTS.get(found[1].lower(), b"")
    if found[2].lower().removesuffix(port) != host.strip().lower().removesuffix(port):
        raise BadRequest("The request names two hosts.")


class Place(NamedTuple):
    """``known``: the name is one of the gateway's. ``label``: of an app, else ``""``."""

    known: bool
    label: str = ""


_NOWHERE, _OWN = Place(False), Place(True)


class Hosts:
    """The names of one gateway. Ports do not count: what is in front of it may have others."""

    def __init__(self, public_url: str, further: Iterable[str] = ()) -> None:
        own = urlsplit(own_address(public_url)).hostname or ""
        own = f"[{own}]" if ":" in own else own
        self._own = frozenset(name.lower() for name in (own, *_LOOPBACK, *further))
        self._domain = f".{own}" if has_origins(public_url) else None
        self._kept = lru_cache(1024)(self._place)

    def place(self, host: bytes) -> Place:
        """Return what ``host``, a name with or without a port, stands for."""
        return self._kept(host) if len(host) <= _LONGEST else _NOWHERE

    def _place(self, host: bytes) -> Place:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return _NOWHERE
        name = found[1].decode()
        if name in self._own:
            return _OWN
        if self._domain is None or not name.endswith(self._domain):
            return _NOWHERE
        label = name.removesuffix(self._domain)
        return Place(True, label) if label and "." not in label else _NOWHERE
