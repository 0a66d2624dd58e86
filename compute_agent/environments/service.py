"""The node's socket for ``aen env``: it makes copies by links, gives turns, and that is all.

Most files of an environment belong to the node, and Linux lets nobody link to what is not theirs.
Every account may connect. Who asks for a copy must be the account of a running app, which names
itself, and gets it within that app's project, beside the environment, under a name that hides it.

A turn is an open file that only the node can open; its lock is held as long as somebody changes
environments, also when the agent is gone. Only who may change the project is given it.
"""

import asyncio
import contextlib
import logging
import os
import pwd
import re
import socket
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import msgspec

from compute_agent import upstream
from compute_agent.config import Config
from compute_agent.environments.tools import PEOPLE, SOCKET
from compute_agent.host import locks, privileges
from compute_agent.host.errors import HostError
from compute_agent.host.permissions import Cancelled
from compute_agent.launch import Launcher
from compute_agent.protocol import ProjectSpec
from compute_agent.record import write_private
from compute_agent.registry import Registry

_MOST = 4096
_SECONDS = 5.0
#: For one copy, with the wait for others' work in the project.
_COPY_SECONDS = 60.0
_AT_ONCE = 4
#: Connections of one account at a time; each may wait for the line that it is to bring.
_CONNECTIONS = 16
_TURNS = "turns"
_log = logging.getLogger(__name__)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copy the environment ``source`` to ``target``, both in ``envs`` of the app's project.

    With ``turn``, a project as ``owner/name``: give the file whose lock is the turn to change it.
    """

    app_id: str = ""
    source: str = ""
    target: str = ""
    turn: str = ""


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HIDDEN = re.compile(r"\.[A-Za-z0-9_-]{1,64}\.[0-9a-f]{8}")


class Refused(Exception):
    """The text says why, for whoever asked."""


class Unknown(Refused):
    """The node knows no such project."""


class Service:
    """Answers one order on each connection, in a line of JSON: ``done``, and ``why`` if not."""

    def __init__(self, config: Config, launcher: Launcher, registry: Registry) -> None:
        self._config = config
        self._launcher = launcher
        self._registry = registry
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._copying: set[int] = set()
        self._connected: Counter[int] = Counter()

    async def listen(self) -> asyncio.AbstractServer:
        """Open the socket, and write down for ``aen env`` what it must know of this node."""
        sock = self._bound(Path(self._config.run_dir, SOCKET))
        self._tell_people()
        return await asyncio.start_unix_server(self._answer, sock=sock, limit=_MOST)

    def _bound(self, path: Path) -> socket.socket:
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        path.chmod(0o666)
        return sock

    def _tell_people(self) -> None:
        path = Path(self._config.state_dir, PEOPLE)
        asked = str(Path(self._config.run_dir, SOCKET))
        told = msgspec.json.encode({"channels": self._config.channels, "socket": asked})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, told)
            path.chmod(0o644)
        except OSError as error:  # a full disk: no reason for the node not to serve
            _log.warning("%s could not be written: %s", path, error.strerror)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = upstream.peer_uid(writer.get_extra_info("socket"))
        self._connected[uid] += 1
        try:
            if self._connected[uid] <= _CONNECTIONS:
                await self._converse(reader, writer)
        finally:
            self._connected -= Counter([uid])
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            try:
                async with asyncio.timeout(_SECONDS):
                    line = await reader.readline()
                await self._do(line, writer)
            except (Refused, HostError, msgspec.MsgspecError) as error:
                unknown = isinstance(error, Unknown)
                writer.write(_said(False, str(error), unknown))
            async with asyncio.timeout(_SECONDS):
                await writer.drain()

    async def _do(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        order = msgspec.json.decode(line, type=Order)
        sock = writer.get_extra_info("socket")
        uid = upstream.peer_uid(sock)
        if not order.turn:
            await self._copy(order, uid)
            writer.write(_said(True))
            return
        file = self._turn(order.turn, uid)
        try:
            with socket.socket(fileno=os.dup(sock.fileno())) as straight:
                socket.send_fds(straight, [_said(True)], [file])
        finally:
            os.close(file)

    # --- copies ---

    async def _copy(self, order: Order, uid: int) -> None:
        project, account = self._asked(order, uid)
        if not (_NAME.fullmatch(order.source) and _HIDDEN.fullmatch(order.target)):
            raise Refused("These are no names of environments.")
        if uid in self._copying:
            raise Refused("Another copy of yours is being made.")
        self._copying.add(uid)
        cancelled = threading.Event()
        timer = asyncio.get_running_loop().call_later(_COPY_SECONDS, cancelled.set)
        try:
            async with contextlib.AsyncExitStack() as held:
                async with asyncio.timeout(_COPY_SECONDS):
                    await held.enter_async_context(self._free)
                    await held.enter_async_context(self._launcher.lock(project))
                await asyncio.to_thread(
                    self._launcher.projects.link_environment,
                    project, account, order.source, order.target, cancelled,
                )  # fmt: skip
        except (TimeoutError, Cancelled):
            raise Refused(f"The copy took more than {_COPY_SECONDS:.0f} s.") from None
        finally:
            timer.cancel()
            self._copying.discard(uid)

    def _asked(self, order: Order, uid: int) -> tuple[ProjectSpec, str]:
        record = self._registry.find(order.app_id)
        if record is None or record.launch is None or record.is_over or record.uid != uid:
            raise Refused("You have no such app running.")
        asked = record.launch.project
        project = self._launcher.passes.known().get((asked.owner, asked.name), asked)
        account = record.launch.account
        if account not in _writers(project):
            raise Refused("You may not change this project.")
        return project, account

    # --- turns ---

    def _turn(self, name: str, uid: int) -> int:
        """Return the open file of the project's turn, for an account that may change it."""
        owner, _, project = name.partition("/")
        known = self._launcher.passes.known().get((owner, project))
        if known is None:
            raise Unknown("The node knows no such project.")
        if not _is_of(uid, _writers(known)):
            raise Refused("You may not change this project.")
        place = Path(self._config.run_dir, _TURNS)
        place.mkdir(mode=0o700, exist_ok=True)
        path = place / f"{known.owner}.{known.name}"
        file = _opened(path)
        # Who left the team keeps what was open, and would keep all others from changes.
        if all(_is_kept(file, _writers(known)) for _ in range(2)):  # not just ended
            os.close(file)
            path.unlink()
            file = _opened(path)
        return file


def _opened(path: Path) -> int:
    # To lock it takes no right to write, by which people could fill the node's own directory.
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_kept(turn: int, writers: Collection[str]) -> bool:
    """Say whether somebody who may not change the project has the lock of its turn."""
    uid = locks.holder(turn)
    return uid is not None and not _is_of(uid, writers)


def _said(done: bool, why: str = "", unknown: bool = False) -> bytes:
    return msgspec.json.encode({"done": done, "why": why, "unknown": unknown}) + b"\n"


def _writers(project: ProjectSpec) -> tuple[str, ...]:
    members = [member.account for member in project.members if member.access == "rwx"]
    return (project.owner_account, *members)


def _is_of(uid: int, accounts: Collection[str]) -> bool:
    """Say whether the id is that of one of the accounts; for one person alone, of that person."""
    if not privileges.serves_others():
        return uid == os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name in accounts
    except KeyError:
        return False
