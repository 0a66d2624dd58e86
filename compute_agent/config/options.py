"""The options of a node: name, type, default, and what each is for.

This is the one place that says it: the table in the manual is printed from here.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta, Struct

# A socket's path has 107 bytes at most; a kernel's has this form below ``run_dir``.
_LONGEST_SOCKET = "/0123456789ab/u/r/kernel-01234567-0123-0123-0123-0123456789ab-ipc-12"
_SOCKET_BYTES = 107
_CHANNEL = re.compile(r"(https?://|file:///)[^\s]+|[A-Za-z0-9][A-Za-z0-9_./-]*")
_LISTEN = re.compile(r"unix:(?P<path>/.+)|https://(?P<host>[^/:]+|\[[0-9a-f:]+\]):(?P<port>\d+)")


class ConfigError(Exception):
    """A configuration that cannot be used; each problem names the file, its line and the option."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _about(text: str) -> Meta:
    return Meta(description=text)


def _start(text: str) -> Meta:
    """Describe an option of starting a project, which ``scripts/config.json`` may hold too."""
    return Meta(description=text, extra={"start": True})


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """Files in PEM form: this node's certificate and key, and the CA that signs gateways'."""

    certificate: str
    key: str
    client_ca: str


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The options in force; descriptions are sentences of the manual."""

    listen: Annotated[
        str, _about("where the gateway reaches the agent; or `https://host:5002`, with `tls`")
    ] = "unix:/run/aen/agent.sock"
    tls: Annotated[
        Tls | None,
        _about(
            "files in PEM form: `certificate` and `key` of this node, and `client_ca`, "
            "which signs the gateways'"
        ),
    ] = None
    project_root: Annotated[str, _start("where projects lie: `<owner>/<project>` below it")] = (
        "/projects"
    )
    state_dir: Annotated[
        str, _about("environments and caches; all accounts must be able to enter it")
    ] = "/var/lib/aen/node"
    run_dir: Annotated[
        str, _about("sockets, and a directory for each running app; short, as paths of sockets are")
    ] = "/run/aen"
    service_account: Annotated[
        str, _start("AEN's own account: admitted to the Unix socket, never used for apps")
    ] = "aen"
    manage_accounts: Annotated[
        bool, _start("make missing accounts; `false` where another system does that")
    ] = True
    anon_user: Annotated[
        str, _start("account that stands for visitors who did not sign in; empty: there are none")
    ] = ""
    python: Annotated[
        str, _start("interpreter of the environments; empty: the one that runs the agent")
    ] = ""
    default_lock: Annotated[
        str, _start("lock file of the environment that new projects get; empty: AEN's own")
    ] = ""
    default_environment: Annotated[
        str,
        _start(
            "an administrator's own `default`, in place of AEN's: a directory that holds an "
            "environment, or a file that names its packages"
        ),
    ] = ""
    channels: Annotated[
        tuple[str, ...],
        _about(
            "conda channels, the first being preferred: `conda-forge`, a URL or `file:///…`; "
            "where there are some, environments are made of conda packages"
        ),
    ] = ()
    default_packages: Annotated[
        tuple[str, ...], _start("conda packages that `default` holds where there are channels")
    ] = ("python", "ipykernel", "matplotlib-base", "numpy", "pandas", "pip")
    skeleton: Annotated[
        str, _start("what a new project's directory is copied from; empty: AEN's own")
    ] = ""
    apps_dir: Annotated[
        str, _about("directory of further apps; one named as a built-in app replaces it")
    ] = ""
    apps: Annotated[
        tuple[str, ...],
        _about("names of apps that come with AEN and are offered only where this list has them"),
    ] = ()
    stop_grace: Annotated[float, _about("seconds between asking an app to end and killing it")] = (
        5.0
    )
    own_view: Annotated[
        bool, _about("apps see their own processes only, and have a `/tmp` of their own")
    ] = True
    app_memory: Annotated[float, _about("gigabytes of memory for one app; 0: no limit")] = 0.0
    app_processors: Annotated[float, _about("processors for one app; 0: no limit")] = 0.0
    app_processes: Annotated[float, _about("processes and threads of one app; 0: no limit")] = 0.0
    person_memory: Annotated[
        float, _about("gigabytes of memory for all apps of a person; 0: no limit")
    ] = 0.0
    person_processors: Annotated[
        float, _about("processors for all apps of a person; 0: no limit")
    ] = 0.0
    person_processes: Annotated[
        float, _about("processes and threads of all apps of a person; 0: no limit")
    ] = 4096.0
    watch: Annotated[
        bool, _about("set permissions right again as soon as a program changes them")
    ] = False
    pass_environment: Annotated[
        tuple[str, ...], _about("environment variables of the agent that apps get too")
    ] = (
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


_META: dict[str, Meta] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Config, include_extras=True).items()
}
_TYPES: dict[str, Any] = get_type_hints(Config)

OPTIONS = tuple(Config.__struct_fields__)
TLS_KEYS = tuple(Tls.__struct_fields__)
#: Options that ``scripts/config.json`` may hold.
START_OPTIONS = frozenset(name for name, meta in _META.items() if (meta.extra or {}).get("start"))
DEFAULTS: dict[str, Any] = msgspec.to_builtins(Config())


def about(option: str) -> str:
    """Return what the option is for, as Markdown."""
    return _META[option].description or ""


# --- what values an option may have ---------------------------------------------------------------


def wrong_type(option: str, value: Any) -> str | None:
    """Say what kind of value the option must have, if ``value`` from JSON is of another."""
    wanted = _TYPES[option]
    if option == "tls":
        # What is inside it is looked at key by key.
        return None if value is None or isinstance(value, dict) else "an object, or null"
    if wanted is bool:
        return None if isinstance(value, bool) else "true or false"
    if wanted is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if number else "a number"
    if wanted is str:
        return None if isinstance(value, str) else "a string"
    strings = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return None if strings else "a list of strings"


def wrong_value(option: str, value: Any) -> str | None:
    """Say what is wrong with a value that has the right type, or return ``None``."""
    if isinstance(value, str) and "\0" in value:
        return "must not contain a NUL character"
    check = _CHECKS.get(option)
    return check(value) if check else None


def _listen(value: str) -> str | None:
    match = _LISTEN.fullmatch(value)
    if not match:
        return "must be unix:/path or https://host:port"
    if match["port"] and not 0 <= int(match["port"]) <= 65535:
        return "has a port above 65535"
    return None


def _absolute(value: str) -> str | None:
    return None if Path(value).is_absolute() else "must be an absolute path"


def _absolute_or_empty(value: str) -> str | None:
    return _absolute(value) if value else None


def _run_dir(value: str) -> str | None:
    if len(os.fsencode(value + _LONGEST_SOCKET)) > _SOCKET_BYTES:
        longest = _SOCKET_BYTES - len(_LONGEST_SOCKET)
        return f"is too long for socket paths; {longest} bytes at most"
    return _absolute(value)


def _channels(values: tuple[str, ...]) -> str | None:
    for value in values:
        if not _CHANNEL.fullmatch(value):
            return f"names {value!r}, which is neither a channel's name nor a URL of one"
    return None


def _not_negative(value: float) -> str | None:
    return None if value >= 0 else "must not be negative"


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "listen": _listen,
    "project_root": _absolute,
    "state_dir": _absolute,
    "run_dir": _run_dir,
    "default_lock": _absolute_or_empty,
    "default_environment": _absolute_or_empty,
    "channels": _channels,
    "skeleton": _absolute_or_empty,
    "apps_dir": _absolute_or_empty,
    "stop_grace": _not_negative,
    "app_memory": _not_negative,
    "app_processors": _not_negative,
    "app_processes": _not_negative,
    "person_memory": _not_negative,
    "person_processors": _not_negative,
    "person_processes": _not_negative,
}
