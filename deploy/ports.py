"""Whether a port is free, and who has it if not."""

import contextlib
import os
import socket
from pathlib import Path

from deploy.say import Problem

_LISTEN = "0A"


def require(bind: str, ports: dict[str, int]) -> None:
    """Raise ``Problem`` for the first port in use; ``ports`` is variable name to port."""
    for variable, port in ports.items():
        if error := in_use(bind, port):
            raise Problem(
                f"Port {port} on {bind} cannot be used: {error}.",
                holder(port),
                f"End that, or set {variable} to another port.",
            )


def in_use(bind: str, port: int) -> str:
    """Return why ``port`` cannot be listened on, or an empty text."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
            probe.listen(1)
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return ""


def holder(port: int) -> str:
    """Return a sentence naming the process that listens on ``port``, if we may see it."""
    inodes = _listening(port)
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _sockets_of(process):
            return f"Process {process.name} has it: {_command(process)}"
    return "The process that has it cannot be seen from this account." if inodes else ""


def _listening(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(process: Path) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(os.readlink(entry))  # noqa: PTH115
    return found


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return "unknown"
    text = b" ".join(words[:4]).decode(errors="replace")
    return " ".join(text.split())[:100]
