"""The node's configuration: typed, read from several files, the last one winning option by option."""

import os
import pwd
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

#: Read in this order before the file given with ``-c``; those that do not exist are skipped.
DEFAULT_FILES = (
    Path("/etc/wakari/config.json"),
    Path("/etc/wakari/compute-launcher-config.json"),
    Path("compute-launcher-config.json"),
)
# A socket's path has 107 bytes at most; a kernel's has this form below ``run_dir``.
_LONGEST_SOCKET = "/0123456789ab/u/r/kernel-01234567-0123-0123-0123-0123456789ab-ipc-12"
_SOCKET_BYTES = 107
_LISTEN = re.compile(r"unix:(?P<path>/.+)|https://(?P<host>[^/:]+|\[[0-9a-f:]+\]):(?P<port>\d+)")


class ConfigError(Exception):
    """A configuration that cannot be used; the text names the file and the option."""


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form: this node's certificate and key, and the CA that signs gateways'."""

    certificate: str
    key: str
    client_ca: str


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    #: ``unix:/path``, or ``https://host:port`` which needs ``tls``.
    listen: str = "unix:/run/aen/agent.sock"
    tls: Tls | None = None
    project_root: str = "/projects"
    #: Environments and caches; all accounts must be able to enter it.
    state_dir: str = "/var/lib/aen/node"
    #: Sockets and one directory for each running app; short, because socket paths are.
    run_dir: str = "/run/aen"
    #: AEN's own account: admitted to the Unix socket, never used for apps.
    service_account: str = "aen"
    #: Make missing accounts; ``false`` where another system does that.
    manage_accounts: bool = True
    #: Interpreter that environments are made from; empty: the one that runs the agent.
    python: str = ""
    #: Lock file of the environment that new projects get; empty: the one that comes with AEN.
    default_lock: str = ""
    #: What a new project's directory is copied from; empty: the one that comes with AEN.
    skeleton: str = ""
    #: Directory of further app descriptors; one with the name of a built-in app replaces it.
    apps_dir: str = ""
    #: Seconds between asking an app to end and killing it.
    stop_grace: float = 5.0
    #: Environment variables of the agent that apps get too.
    pass_environment: tuple[str, ...] = (
        "LANG",
        "LC_ALL",
        "TZ",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "PIP_CERT",
    )

    @property
    def socket_path(self) -> Path | None:
        """The Unix socket to listen on, or ``None`` for TCP."""
        match = _LISTEN.fullmatch(self.listen)
        return Path(match["path"]) if match and match["path"] else None

    @property
    def tcp_address(self) -> tuple[str, int]:
        """Host and port to listen on; only where there is no ``socket_path``."""
        match = _LISTEN.fullmatch(self.listen)
        if not match or not match["port"]:
            raise ConfigError(f"listen: {self.listen} is not an address with a port")
        return match["host"].strip("[]"), int(match["port"])


def load(extra: Path | None = None, files: Sequence[Path] = DEFAULT_FILES) -> Config:
    """Return the configuration of all the files together.

    Raises ``ConfigError`` for a file that cannot be read or does not fit, and for values that do
    not fit together.
    """
    merged: dict[str, Any] = {}
    for path in (*files, *([extra] if extra else [])):
        if path == extra or path.exists():
            merged |= _read(path)
    config = msgspec.convert(merged, Config)
    _check(config)
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        values = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds no object of options")
    unknown = sorted(set(values) - set(Config.__struct_fields__))
    if unknown:
        raise ConfigError(f"{path}: unknown option {', '.join(unknown)}")
    try:
        msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from None
    return values


def _check(config: Config) -> None:
    if not _LISTEN.fullmatch(config.listen):
        raise ConfigError("listen: must be unix:/path or https://host:port")
    if config.socket_path is None and config.tls is None:
        raise ConfigError("tls: is needed to listen on a network port")
    for option in ("project_root", "state_dir", "run_dir"):
        if not Path(getattr(config, option)).is_absolute():
            raise ConfigError(f"{option}: must be an absolute path")
    if len(os.fsencode(config.run_dir + _LONGEST_SOCKET)) > _SOCKET_BYTES:
        longest = _SOCKET_BYTES - len(_LONGEST_SOCKET)
        raise ConfigError(f"run_dir: is too long for socket paths; {longest} bytes at most")


def mode() -> str:
    """Return ``root`` where apps run as their users' accounts, else ``single``."""
    return "root" if os.geteuid() == 0 else "single"


def service_uid(config: Config) -> int | None:
    """Return the uid of the service account, or ``None`` where there is no such account."""
    try:
        return pwd.getpwnam(config.service_account).pw_uid
    except KeyError:
        return None
