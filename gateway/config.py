"""The gateway's configuration, ``gateway.json``, as a typed structure."""

import difflib
import json
import os
import re
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from .forwarding import Proxies
from .limits import Settings as Limits
from .protocol.origins import has_origins, own_address, wrong_star

Url = Annotated[str, Meta(pattern=r"\Ahttps?://[^/?#\s]+\Z")]


class ConfigError(Exception):
    """The configuration cannot be used; the text names the file, the key and the mend."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Files (PEM) by which this gateway and its nodes know each other."""

    certificate: str
    key: str
    ca: str


class Haproxy(Struct, frozen=True, forbid_unknown_fields=True):
    """Sockets: HAProxy's ``runtime`` one, ``listen`` for its requests, and the ``agent`` it reaches."""

    runtime: str
    listen: str
    agent: str


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """``server``: where the gateway reaches the server; the ``public`` ones are for browsers.

    A ``public_url`` like ``https://*.apps.example`` gives each app an origin of its own.
    """

    gateway_id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    server: Url
    server_public: Url
    public_url: Url
    credential_file: str
    secret_key_file: str
    tls: Tls | None = None
    #: Seconds for which granted sessions go on while the server cannot be asked.
    grace: Annotated[float, Meta(ge=0, le=3600)] = 60.0
    #: Longest time in seconds for which a grant is remembered, whatever the server says.
    max_ttl: Annotated[float, Meta(ge=0, le=600)] = 60.0

    #: Serve sessions already granted below ASGI; without, all goes through the consumers.
    express: bool = True
    #: What one person, or one address, may take.
    limits: Limits = Limits()
    #: File of the secret that ``/-/metrics`` is shown for, as ``Authorization: Bearer``.
    metrics_token_file: str | None = None
    #: Proxies in front, whose ``X-Forwarded-*`` are believed: addresses, networks, or ``unix``.
    trusted_proxies: tuple[str, ...] = ()
    #: Further host names, without a port, under which the gateway may be asked.
    names: tuple[str, ...] = ()
    #: HAProxy in front, which carries what is granted.
    haproxy: Haproxy | None = None

    @property
    def own_url(self) -> str:
        """Where the gateway's own pages are; without a star in ``public_url`` apps are there, too."""
        return own_address(self.public_url)

    @property
    def has_origins(self) -> bool:
        """Whether each app has an origin of its own."""
        return has_origins(self.public_url)

    @property
    def public_origin(self) -> bytes:
        """The ``Origin`` that browsers send for the gateway's own pages: no default port."""
        scheme, _, authority = self.own_url.lower().partition("://")
        default = ":443" if scheme == "https" else ":80"
        return f"{scheme}://{authority.removesuffix(default)}".encode()

    @property
    def public_scheme(self) -> bytes:
        return self.public_url.partition("://")[0].lower().encode()


def load(path: str | None = None) -> Config:
    """Return the configuration in ``path``, or in the file that ``AEN_GATEWAY_CONFIG`` names."""
    path = path or os.environ.get("AEN_GATEWAY_CONFIG")
    if not path:
        raise ConfigError("AEN_GATEWAY_CONFIG is not set; set it to the path of gateway.json.")
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        config = msgspec.json.decode(data, type=Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {_named(str(error))}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not JSON: {_where(data) or error}.") from error
    if config.tls is not None:
        read_secret(config.tls.key)
    try:
        Proxies(config.trusted_proxies)
    except ValueError as error:
        raise ConfigError(f"{path}: trusted_proxies: {error}.") from error
    if cause := wrong_star(config.public_url):
        raise ConfigError(f"{path}: public_url: {cause}")
    return config


def _named(text: str) -> str:
    """Put the key first in msgspec's message, which has it last as ``- at `$.key```."""
    found = re.fullmatch(r"(.*) - at `\$\.(.*)`", text)
    place, said = (f"{found[2]}: ", found[1]) if found else ("", text)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", said):
        known = (_BELOW.get(found[2]) if found else Config) or Struct
        nearest = difflib.get_close_matches(unknown[1], known.__struct_fields__, n=1)
        mend = f"; did you mean {nearest[0]}?" if nearest else "."
        return f"{place}unknown key {unknown[1]}{mend}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", said):
        return f"{place}the key {missing[1]} is missing."
    if wrong := re.fullmatch(r"Expected `(.*)`, got `(.*)`", said):
        return f"{place}must be {_words(wrong[1])}, not {_words(wrong[2])}."
    return f"{place}{said}."


#: What is said of a kind of value, for msgspec's words.
_KINDS = {
    "float": "a number", "int": "a number", "str": "text", "bool": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip
#: Keys that hold an object with keys of its own.
_BELOW: dict[str, type[Struct]] = {"limits": Limits, "tls": Tls, "haproxy": Haproxy}


def _words(kinds: str) -> str:
    return " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))


def _where(data: bytes) -> str:
    """Return what is wrong with text that is not JSON, with line and column."""
    try:
        json.loads(data)
    except ValueError as error:
        return str(error)
    return ""


def read_secret(path: str) -> str:
    """Return the secret in the file ``path``.

    Raises ``ConfigError`` when it is missing, empty, or open to other accounts.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read().strip()
    except OSError as error:
        raise ConfigError(f"The secret file {path} cannot be read: {error.strerror}.") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"The secret file {path} is open to every account; run chmod 600 on it.")
    if len(secret) < 16:
        raise ConfigError(f"The secret in {path} is shorter than 16 characters; make a new one.")
    return secret
