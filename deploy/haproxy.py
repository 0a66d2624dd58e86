"""HAProxy's configuration, as text."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from deploy import own_pages
from deploy.say import Problem
from deploy.supervisor import template

if TYPE_CHECKING:
    from gateway.limits import Settings

_WORD = re.compile(r"[A-Za-z0-9_./:@\[\]-]+")
#: Seconds between two looks whether the gateway lives.
_LOOK = 2
_SLOTS = 1000
#: Seconds, as the gateway has them by default.
_GRACE = 60.0
_DAY = 86400.0
#: For a limit that is off.
_UNLIMITED = 1_000_000_000


@dataclass(frozen=True)
class Sockets:
    """``runtime``: HAProxy's own, ``gateway`` and ``agent``: theirs."""

    runtime: Path
    gateway: Path
    agent: Path


@dataclass(frozen=True)
class Server:
    """The server's address for browsers; and here, if HAProxy is to be in front of it, too."""

    public_url: str
    address: str = ""


@dataclass(frozen=True)
class Told:
    """What the gateway's own file says: ``grace`` in seconds, ``limits``, and the ``sockets``."""

    grace: float
    limits: "Settings"
    sockets: Sockets


def told(file: Path, otherwise: Sockets) -> Told:
    """Return what ``file``, a gateway.json, says; the sockets ``otherwise`` if it names none.

    Raises ``Problem`` if the file is not as it must be.
    """
    from gateway.config import ConfigError, load
    from gateway.limits import Settings

    if not file.exists():
        return Told(_GRACE, Settings(), otherwise)
    try:
        config = load(str(file))
    except ConfigError as error:
        raise Problem("The gateway's configuration cannot be used.", str(error)) from error
    named = config.haproxy
    if named is None:
        return Told(config.grace, config.limits, otherwise)
    agent = Path(named.agent.removeprefix("unix:"))
    sockets = Sockets(Path(named.runtime), Path(named.listen), agent)
    return Told(config.grace, config.limits, sockets)


def render(
    public_url: str,
    sockets: Sockets,
    *,
    account: str = "",
    bind: str = "",
    grace: float = _GRACE,
    slots: int = _SLOTS,
    limits: "Settings | None" = None,
    server: Server | None = None,
) -> str:
    """Return ``haproxy.cfg`` for a gateway that browsers reach at ``public_url``.

    ``account``: as which it runs, empty for the one that starts it. ``bind``: address to listen on,
    by default the port of ``public_url`` everywhere. ``server``: pages lead to it, and if it is
    reached by https at the same port, it is served there. Raises ``Problem`` for what it cannot hold.
    """
    from gateway.haproxy import patterns
    from gateway.limits.limits import BURST_SECONDS, Settings

    limits = limits or Settings()
    most = limits.person_open or 100_000
    for path in (sockets.runtime, sockets.gateway, sockets.agent):
        _word(str(path))
    url = urlsplit(public_url)
    home = server.public_url if server else ""
    if server is not None and not _beside(url, server):
        server = None
    return template("haproxy.cfg").substitute(
        account=f"user {_word(account)}\n    group {_word(account)}" if account else "",
        owner=f" user {account} group {account}" if account else "",
        runtime=sockets.runtime,
        gateway=sockets.gateway,
        agent=sockets.agent,
        lua=_word(str(files("gateway").joinpath("haproxy/answers.lua"))),
        dropped=patterns.dropped(),
        our_cookies=patterns.our_cookies(),
        odd_target=_quoted(patterns.odd_target()),
        plain_head=_quoted(patterns.plain_head()),
        fair_head=_quoted(patterns.fair_head()),
        odd_cookie=_quoted(patterns.odd_cookie()),
        odd_answer=_quoted(patterns.odd_answer_names()),
        bind=_bind(public_url, bind, server),
        to_server=_to_server(server) if server else "",
        server=_server(server, url.scheme) if server else "",
        scheme=url.scheme,
        grace=f"{grace:g}",
        falls=max(1, round(grace / _LOOK)),
        pages=_pages(home),
        guards=_guards(),
        most=most,
        rate=f"{limits.person_rate * BURST_SECONDS or _UNLIMITED:.0f}",
        burst=f"{BURST_SECONDS:g}",
        connections=limits.address_connections or _UNLIMITED,
        maxconn=f"\n    maxconn {limits.connections}" if limits.connections else "",
        reader=round((limits.reader_seconds or _DAY) * 1000),
        slots="\n".join(_slot(number, sockets.agent, most) for number in range(1, slots + 1)),
    )


def _beside(gateway: SplitResult, server: Server) -> bool:
    """Return whether one address can be listened on for both, who are told apart by their names."""
    url = urlsplit(server.public_url)
    if not server.address or gateway.scheme != "https" or url.scheme != "https":
        return False
    return (gateway.port or 443) == (url.port or 443)


def _bind(public_url: str, bind: str, server: Server | None) -> str:
    url = urlsplit(public_url)
    if url.scheme == "http":
        name = _name(url)
        local = name == "localhost" or name.endswith(".localhost")
        where = bind or f"{'127.0.0.1' if local else name}:{url.port or 80}"
        return f"    bind {_word(where)}"
    where = _word(bind or f":{url.port or 443}")
    urls = [url] if server is None else [url, urlsplit(server.public_url)]
    certificates = " ".join(f"crt {_word(f'/etc/ssl/aen/{_name(each)}.pem')}" for each in urls)
    return f"    bind {where} ssl {certificates} alpn h2,http/1.1"


def _name(url: SplitResult) -> str:
    return (url.hostname or "").removeprefix("*.")  # below it each app may have a name of its own


def _to_server(server: Server) -> str:
    url = urlsplit(server.public_url)
    names = f"{_word(_name(url))} {_word(f'{_name(url)}:{url.port or 443}')}"
    return f"    use_backend aen-server if {{ req.fhdr(host) -m str -i {names} }}"


def _server(server: Server, scheme: str) -> str:
    from msgspec import structs

    away = own_pages.server_away()
    lines = [
        "backend aen-server from base",
        "    http-request set-header X-Forwarded-For %[src]",
        f"    http-request set-header X-Forwarded-Proto {scheme}",
        "    http-request set-header X-Forwarded-Host %[req.fhdr(host)]",
        *(
            _page(status, structs.replace(away, status=status), server.public_url)
            for status in (502, 503, 504)
        ),
        f"    server server {_word(server.address)}",
    ]
    return "\n".join(lines)


def _guards() -> str:
    from gateway.haproxy import patterns

    lines = []
    for name, value, always in patterns.guards():
        # An answer to a plain request switches to nothing; one that says so itself is odd.
        unless = " || ".join(
            ["plain", "!switching"]
            if always
            else ["plain !odd", "!switching !odd", f"!switching !{{ res.hdr({name}) -m found }}"]
        )
        lines.append(f"    http-response add-header {name} {_quoted_word(value)} if {unless}")
    return "\n".join(lines)


def _slot(number: int, agent: Path, most: int) -> str:
    return (
        f"backend aen-slot-{number} from apps\n"
        f"    server app unix@{agent} send-proxy-v2 proxy-v2-options unique-id maxconn {most}"
        " track aen-gateway/gateway on-marked-down shutdown-sessions\n"
    )


def _pages(home: str) -> str:
    """Return the answers that HAProxy gives itself."""
    from gateway import pages

    unreachable = pages.app_unreachable("It ended the connection, or is not running any more.")
    bad = pages.bad_request("It is not valid, or its header fields are too large.")
    slow = pages.Page(504, "app_silent", "The app did not answer in time", ("It may be at work.",))
    away = own_pages.gateway_away()
    each = ((400, bad), (502, unreachable), (503, away), (504, slow))
    return "\n".join(_page(status, page, home) for status, page in each)


def _page(status: int, page: object, home: str) -> str:
    from gateway import pages

    fields, body = pages.render(page, html=True, home=home)  # type: ignore[arg-type]
    kept = [
        (name, value) for name, value in fields if name not in (b"content-length", b"content-type")
    ]
    headers = " ".join(
        f"hdr {name.decode()} {_quoted_word(value.decode().replace('%', '%%'))}"
        for name, value in kept
    )
    text = body.decode().replace("\n", " ")
    return (
        f"    http-error status {status} content-type 'text/html; charset=utf-8'"
        f" string {_quoted_word(text)} {headers}"
    )


def _quoted(pattern: str) -> str:
    """Return a pattern that stands between single quotes."""
    assert "'" not in pattern
    return pattern


def _quoted_word(text: str) -> str:
    for special in ("\\", '"', "$"):
        text = text.replace(special, "\\" + special)
    return f'"{text}"'


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise Problem(
            f"HAProxy's configuration cannot hold {text!r}.",
            "It has a space or another character with a meaning there.",
            "Choose a path or an address without it.",
        )
    return text
