"""Ports of apps that cannot listen on a Unix socket, each closed to all accounts but the app's.

Any account of a machine can connect to a loopback port, so the kernel's packet filter (nftables) is
told whose each is: to start a connection there, and to accept one, takes the uid of the app's user.
What one app's directory says of its port is all that is kept; the whole table follows from these,
and is replaced in one transaction with every change.
"""

import contextlib
import hashlib
import os
import random
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from compute_agent.host import privileges
from compute_agent.host.errors import HostError
from compute_agent.record import write_private

#: Below the ports that the kernel gives to clients.
_RANGE = range(20000, 30000)
_FILE = "port"
_CAP_NET_ADMIN = 12
_PLACES = "/usr/sbin:/sbin:/usr/bin:/bin"
_RULES = """
  chain out {{
    type filter hook output priority filter;
    oifname != "lo" accept
    tcp flags & (syn | ack) == syn tcp dport . meta skuid @owners accept
    tcp flags & (syn | ack) == syn tcp dport @ports reject with tcp reset
    tcp flags & (syn | ack) == (syn | ack) tcp sport . meta skuid @owners accept
    tcp flags & (syn | ack) == (syn | ack) tcp sport @ports drop
  }}
  chain in {{
    type filter hook input priority filter;
    iifname != "lo" tcp dport @ports drop
  }}
  set ports {{ type inet_service; elements = {{ {ports} }}; }}
  set owners {{ type inet_service . uid; elements = {{ {owners} }}; }}
"""


def why_not() -> str:
    """Return what keeps this node from closing a port to others, as a clause; empty if nothing."""
    if not privileges.serves_others():
        return "it runs every app as one person and may not set rules for the machine's network"
    if not privileges.effective() >> _CAP_NET_ADMIN & 1:
        return "it runs without CAP_NET_ADMIN"
    if _nft() is None:
        return "nft is not installed (Debian's package is called nftables)"
    with contextlib.suppress(OSError):
        return _refusal(_table(f"aen_try_{os.getpid()}", {1: 0}), check=True)
    return "nft cannot be run"


class Ports:
    """The ports of one node's apps; ``run_dir`` holds the apps' directories."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._name = "aen_" + hashlib.sha256(os.fsencode(run_dir)).hexdigest()[:8]
        self._changing = threading.Lock()

    def take(self, directory: Path, uid: int) -> int:
        """Return a port for the app in ``directory``, closed to all but ``uid``. Blocking.

        Raises ``HostError`` where it cannot be closed.
        """
        with self._changing:
            owners = self._owners()
            port = _free_port(owners)
            self._set(owners | {port: uid})
            write_private(directory / _FILE, f"{port} {uid}".encode())
        return port

    def free(self, directory: Path) -> None:
        """Give back the port of an app of which no process is left, if it had one. Blocking."""
        if not (directory / _FILE).exists():
            return
        with self._changing:
            (directory / _FILE).unlink(missing_ok=True)
            with contextlib.suppress(HostError):  # the next change sets it right
                self._set(self._owners())

    def renew(self) -> None:
        """Close the ports of all apps that run, should the table be gone. Blocking.

        Raises ``HostError`` where they cannot be closed.
        """
        with self._changing:
            owners = self._owners()
            if owners and _refusal(f"list table inet {self._name}\n"):
                self._set(owners)

    def _owners(self) -> dict[int, int]:
        """Return the uid of each port's owner."""
        owners = {}
        for path in self._run_dir.glob(f"*/{_FILE}"):
            with contextlib.suppress(OSError, ValueError):
                port, uid = map(int, path.read_text().split())
                owners[port] = uid
        return owners

    def _set(self, owners: dict[int, int]) -> None:
        refusal = _refusal(_table(self._name, owners))
        if refusal:
            raise HostError(
                f"The app's port could not be closed to other accounts: {refusal}.",
                "An administrator can look at nft list ruleset.",
            )


def _free_port(taken: dict[int, int]) -> int:
    for _ in range(100):
        port = random.choice(_RANGE)  # noqa: S311 - it is no secret
        with contextlib.suppress(OSError), socket.socket() as sock:
            if port not in taken:
                sock.bind(("127.0.0.1", port))
                return port
    raise HostError("This node has no free port for the app.", "Stop apps that are not needed.")


def _table(name: str, owners: dict[int, int]) -> str:
    """Return a script that replaces the table by one for ``owners``, or removes it."""
    # Added first, because only what is there can be deleted.
    script = f"add table inet {name}\ndelete table inet {name}\n"
    if not owners:
        return script
    ports = ", ".join(map(str, owners))
    pairs = ", ".join(f"{port} . {uid}" for port, uid in owners.items())
    return f"{script}table inet {name} {{{_RULES.format(ports=ports, owners=pairs)}}}\n"


def _refusal(script: str, *, check: bool = False) -> str:
    """Have nft carry out ``script``, or only check it; return why it does not, else nothing."""
    nft = _nft()
    if nft is None:
        return "nft is not installed"
    done = subprocess.run(
        [nft, *(["--check"] if check else []), "--file", "-"],
        input=script, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    said = [line for line in done.stderr.splitlines() if "rror" in line]
    return f"nft says {(said or ['nothing'])[0]}"


def _nft() -> str | None:
    return shutil.which("nft", path=_PLACES)
