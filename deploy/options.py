"""What a person may set about a site, read from its environment."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.paths import Layout
from deploy.say import Problem

SERVICE_ACCOUNT = "aen"
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104


@dataclass(frozen=True)
class Options:
    """The settled choices of one site. ``account`` runs the services, and in single mode apps."""

    single: bool
    account: str
    bind: str
    server_port: int
    gateway_port: int
    #: For a node that listens on TCP; on one machine the agent has a Unix socket.
    compute_port: int
    public_url: str
    gateway_public_url: str
    project_root: Path
    keep_apps: bool
    admin_user: str
    admin_password: str | None = field(repr=False)
    database_url: str | None = field(repr=False)
    #: The server's own, instead of the file that the set-up makes.
    secret_key: str | None = field(repr=False)
    #: Further AEN_* variables of the server's and the gateway's settings, passed on as they are.
    further: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def everywhere(self) -> bool:
        """Whether server and gateway listen on all addresses of the machine."""
        return self.bind in _EVERYWHERE

    @property
    def server_url(self) -> str:
        """Where processes of this machine reach the server."""
        return url_of(self.bind, self.server_port)

    @property
    def gateway_own_url(self) -> str:
        """Where browsers find the gateway's own pages."""
        return self.gateway_public_url.replace("://*.", "://", 1)

    @property
    def gateway_url(self) -> str:
        return url_of(self.bind, self.gateway_port)


def read(env: Mapping[str, str], uid: int, layout: Layout) -> Options:
    """Return the options in ``env``. Raises ``Problem`` naming the variable that is wrong."""
    bind = env.get("AEN_BIND") or "127.0.0.1"
    server_port = _port(env, "AEN_SERVER_PORT", 8000)
    gateway_port = _port(env, "AEN_GATEWAY_PORT", 8089)
    _different(server_port, gateway_port)
    single = uid != 0
    root = env.get("AEN_PROJECT_ROOT")
    return Options(
        single=single,
        account=_name_of(uid) if single else SERVICE_ACCOUNT,
        bind=bind,
        server_port=server_port,
        gateway_port=gateway_port,
        compute_port=_port(env, "AEN_COMPUTE_PORT", 5002),
        public_url=_url(env, "AEN_PUBLIC_URL", url_of(bind, server_port)),
        gateway_public_url=_gateway_address(env, url_of(bind, gateway_port)),
        project_root=Path(root) if root else _project_root(single, layout),
        keep_apps=env.get("AEN_KEEP_APPS", "") in ("1", "true", "yes"),
        admin_user=env.get("AEN_ADMIN_USER") or "admin",
        admin_password=secret(env, "AEN_ADMIN_PASSWORD"),
        database_url=secret(env, "AEN_DATABASE_URL"),
        secret_key=secret(env, "AEN_SECRET_KEY"),
        further={name: value for name, value in env.items() if _is_further(name)},
    )


#: Read by the set-up itself, or settled above: no process is given these as they came in.
_OURS = frozenset(
    (
        *("AEN_HOME", "AEN_RUN_DIR", "AEN_CHECKOUT", "AEN_PYTHON", "AEN_KEEP_APPS"),
        *("AEN_BIND", "AEN_SERVER_PORT", "AEN_GATEWAY_PORT", "AEN_COMPUTE_PORT"),
        *("AEN_PUBLIC_URL", "AEN_GATEWAY_PUBLIC_URL", "AEN_PROJECT_ROOT"),
        *("AEN_ADMIN_USER", "AEN_ADMIN_PASSWORD", "AEN_ADMIN_PASSWORD_FILE"),
        *("AEN_DATABASE_URL", "AEN_DATABASE_URL_FILE", "AEN_SECRET_KEY", "AEN_SECRET_KEY_FILE"),
        "AEN_SERVER_URL",
        *("AEN_SUPERVISED", "AEN_SERVICE_MODE", "AEN_SINGLE_ACCOUNT", "AEN_GATEWAY_CONFIG"),
    )
)


def _is_further(name: str) -> bool:
    return name.startswith("AEN_") and name not in _OURS


def secret(env: Mapping[str, str], name: str) -> str | None:
    """Return the secret ``name``, or the content of the file that ``name_FILE`` names."""
    if env.get(name):
        return env[name]
    file = env.get(f"{name}_FILE")
    if not file:
        return None
    try:
        value = Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise Problem(f"{name}_FILE={file} cannot be read.", cause, "Name another file.") from error
    if not value:
        raise Problem(
            f"{name}_FILE={file} is empty.", "", f"Write the value into it or unset {name}_FILE."
        )
    return value


def url_of(bind: str, port: int) -> str:
    """Return the URL under which this machine reaches ``port`` when bound to ``bind``."""
    host = _EVERYWHERE.get(bind, bind)
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _project_root(single: bool, layout: Layout) -> Path:
    return layout.home / "projects" if single else Path("/projects")


def _port(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise Problem(f"{name}={text} is not a port.", "", "Set a number from 1 to 65535.")
    if os.geteuid() != 0 and int(text) < _first_free_for_all():
        raise Problem(
            f"{name}={text}: only root may listen on ports below {_first_free_for_all()}.",
            "",
            "Set a higher one, and put NGINX in front (python3 -m deploy.render nginx).",
        )
    return int(text)


def _first_free_for_all() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024


def _different(server_port: int, gateway_port: int) -> None:
    if server_port == gateway_port:
        raise Problem(
            f"Server and gateway are both to listen on port {server_port}.",
            "",
            "Set AEN_SERVER_PORT or AEN_GATEWAY_PORT to another one.",
        )


def _url(env: Mapping[str, str], name: str, default: str) -> str:
    text = (env.get(name) or default).rstrip("/")
    parts = urlsplit(text)
    starred = name == "AEN_PUBLIC_URL" and "*" in text
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or starred:
        raise Problem(
            f"{name}={text} is not the address of a site.",
            "It begins with http:// or https://, names a host, and has no path.",
            f"For instance {name}=https://aen.example.org",
        )
    return text


def _gateway_address(env: Mapping[str, str], default: str) -> str:
    """Return the gateway's address, which may name each app with a star: ``https://*.host``."""
    from gateway.protocol.origins import wrong_star  # not there before AEN is installed

    name = "AEN_GATEWAY_PUBLIC_URL"
    text = _url(env, name, default)
    if cause := wrong_star(text):
        raise Problem(
            f"{name}={text} cannot be used.", cause, f"For instance {name}=https://*.host"
        )
    return text


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Problem(
            f"This process runs as user id {uid}, which has no account.",
            "Apps would run as it, and they need an account with a name.",
            "Run it as an account of /etc/passwd.",
        ) from None
