"""Where a request comes from: what the connection says and, of trusted proxies alone, their word."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from .types import Header

Address = IPv4Address | IPv6Address

#: In place of an address: who connects by a Unix socket.
UNIX = "unix"
_SCHEMES = (b"http", b"https")
#: Hops of one request that are looked at.
_MAX_HOPS = 32


class Said(NamedTuple):
    """The values of ``X-Forwarded-For``, ``-Proto`` and ``-Host``; empty where none was sent."""

    clients: bytes = b""
    scheme: bytes = b""
    host: bytes = b""


class Sender(NamedTuple):
    """The client's address, and the scheme and host that the browser asked for."""

    client: str
    scheme: bytes
    host: bytes


_NOTHING = Said()
_FIELDS = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")


def said_of(headers: Iterable[Header]) -> Said:
    """Return what the request claims; fields of one name are one list, as RFC 9110, 5.3, has it."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _FIELDS:
            found[name] = found[name] + b"," + value if name in found else value
    return Said(*(found.get(name, b"").strip() for name in _FIELDS)) if found else _NOTHING


class Proxies:
    """The proxies that may speak for others: addresses, networks (``10.0.0.0/8``) and ``unix``."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        """Raises ``ValueError`` for what is none of these."""
        names = set(trusted)
        self._unix = UNIX in names
        self._networks = [ip_network(name) for name in sorted(names - {UNIX})]
        #: Whether an address, or ``unix``, is that of such a proxy.
        self.trusts = lru_cache(1024)(self._is_trusted)
        self._none = not names

    def sender(self, peer: str | None, said: Said, host: bytes, scheme: bytes) -> Sender:
        """Return who sent a request that came from ``peer`` (``None``: by a Unix socket).

        ``host`` and ``scheme`` count where no trusted proxy says another.
        """
        if self._none or said is _NOTHING or not self.trusts(peer or UNIX):
            return Sender(peer or UNIX, scheme, host)
        told = said.scheme.lower()
        return Sender(
            self._client(peer or UNIX, said.clients),
            told if told in _SCHEMES else scheme,
            said.host if said.host and b"," not in said.host else host,
        )

    def _client(self, peer: str, clients: bytes) -> str:
        """Return the last address of the list that is no proxy's: what stands before it is hearsay."""
        client = peer
        for part in reversed(clients.split(b",")[-_MAX_HOPS:]):
            address = _address(part.strip().decode("latin-1"))
            if address is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client

    def _is_trusted(self, peer: str) -> bool:
        if peer == UNIX:
            return self._unix
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """Return an address, also of ``1.2.3.4:80``, ``[::1]`` and ``[::1]:80``."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
