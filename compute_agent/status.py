"""The node's own state: memory, disk, what it offers and what is wrong with it."""

import os
import pwd
import socket
from functools import cache
from importlib import metadata
from pathlib import Path

from compute_agent.config import Config
from compute_agent.host import privileges
from compute_agent.protocol import NodeStatus
from compute_agent.supervisor import Supervisor


def node_status(config: Config, supervisor: Supervisor) -> NodeStatus:
    """Return the node's state of this moment."""
    memory_total, memory_used = _memory()
    disk_total, disk_used = _disk(Path(config.project_root))
    return NodeStatus(
        mode="root" if privileges.serves_others() else "single",
        account=_account(),
        hostname=socket.gethostname(),
        version=_version(),
        apps=supervisor.catalog.offers,
        memory_total=memory_total,
        memory_used=memory_used,
        disk_total=disk_total,
        disk_used=disk_used,
        problems=supervisor.all_problems,
    )


def _account() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


@cache
def _version() -> str:
    try:
        return metadata.version("aen")
    except metadata.PackageNotFoundError:
        return "0"


def _memory() -> tuple[int, int]:
    """Return the machine's memory and how much of it is in use, in bytes."""
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return values["MemTotal"], values["MemTotal"] - values["MemAvailable"]


def _disk(path: Path) -> tuple[int, int]:
    """Return size and use, in bytes, of the file system that holds ``path``."""
    while not path.exists():
        path = path.parent
    info = os.statvfs(path)
    size = info.f_blocks * info.f_frsize
    return size, size - info.f_bavail * info.f_frsize
