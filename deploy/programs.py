"""The processes of a site: their command lines, their accounts and where they start."""

from dataclasses import dataclass
from importlib.resources import files

from deploy.environment import ROLES, base, of_role
from deploy.options import Options
from deploy.paths import Layout
from deploy.say import Problem

#: What runs on a host of a role; ``all`` is a site on one machine.
HOSTS = {
    "all": ROLES,
    "server": ("server", "worker"),
    "gateway": ("gateway",),
    "compute": ("compute",),
}
_UVICORN = (
    *("--loop", "uvloop", "--http", "aen_site.protocol:Protocol"),
    *("--ws", "websockets-sansio"),
    # Open sockets are cut after this many seconds, so that a restart takes no longer.
    *("--timeout-graceful-shutdown", "2"),
    *("--no-proxy-headers", "--no-server-header", "--no-access-log"),
    # An empty configuration: the settings' own logging, with the time on each line, takes over.
    *("--log-config", str(files("deploy") / "templates/uvicorn-log.json")),
)


@dataclass(frozen=True)
class Program:
    """``account`` is the one to run as, ``environment`` all that the process is given."""

    name: str
    command: tuple[str, ...]
    account: str
    environment: dict[str, str]
    umask: str = "077"


def programs(host: str, options: Options, layout: Layout, env: dict[str, str]) -> list[Program]:
    """Return the processes of a host of that role. Raises ``Problem`` for an unknown role."""
    if host not in HOSTS:
        raise Problem(f"There is no role {host}.", "", f"The roles are {', '.join(HOSTS)}.")
    return [_program(role, options, layout, env) for role in HOSTS[host]]


def _program(role: str, options: Options, layout: Layout, env: dict[str, str]) -> Program:
    as_root = role == "compute" and not options.single
    account = "root" if as_root else options.account
    return Program(
        name=role,
        command=(str(layout.python), "-I", "-u", *_arguments(role, options, layout)),
        account=account,
        environment=base(env, account) | of_role(role, options, layout),
        # What the agent makes is for others to read; it narrows what is not by itself.
        umask="022" if role == "compute" else "077",
    )


def _arguments(role: str, options: Options, layout: Layout) -> tuple[str, ...]:
    if role == "server":
        where = ("--host", options.bind, "--port", str(options.server_port))
        return ("-m", "uvicorn", "aen_site.asgi:application", *where, *_UVICORN)
    if role == "worker":
        return ("-m", "django", "aen_worker")
    if role == "gateway":
        return ("-m", "gateway")
    return ("-m", "compute_agent", "-c", str(layout.node_config))
