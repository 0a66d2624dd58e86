"""The node's socket for ``aen env``: it makes a copy of an environment by links, and that is all.

Most files of an environment belong to the node, and Linux lets nobody link to what is not theirs.
Every account may connect. Who asks must be the account of a running app, which names itself, and
gets a copy within that app's project, beside the environment, under a name that hides it.
"""

import asyncio
import contextlib
import logging
import re
import socket
import threading
from pathlib import Path

import msgspec

from compute_agent import upstream
from compute_agent.config import Config
from compute_agent.environments.tools import PEOPLE, SOCKET
from compute_agent.host.errors import HostError
from compute_agent.launch import Launcher
from compute_agent.protocol import ProjectSpec
from compute_agent.record import write_private
from compute_agent.registry import Registry

_MOST = 4096
_SECONDS = 5.0
_AT_ONCE = 4
_log = logging.getLogger(__name__)


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copy the environment ``source`` to ``target``, both in ``envs`` of the app's project."""

    app_id: str
    source: str
    target: str


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HIDDEN = re.compile(r"\.[A-Za-z0-9_-]{1,64}\.[0-9a-f]{8}")


class Refused(Exception):
    """The text says why, for whoever asked."""


class Service:
    """Answers one order on each connection, in a line of JSON: ``done``, and ``why`` if not."""

    def __init__(self, config: Config, launcher: Launcher, registry: Registry) -> None:
        self._config = config
        self._launcher = launcher
        self._registry = registry
        self._free = asyncio.Semaphore(_AT_ONCE)

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
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            try:
                async with asyncio.timeout(_SECONDS):
                    line = await reader.readline()
                async with self._free:
                    await self._do(line, upstream.peer_uid(writer.get_extra_info("socket")))
                answer = {"done": True, "why": ""}
            except (Refused, HostError, msgspec.MsgspecError) as error:
                answer = {"done": False, "why": str(error)}
            writer.write(msgspec.json.encode(answer) + b"\n")
            await writer.drain()
        writer.close()

    async def _do(self, line: bytes, uid: int) -> None:
        order = msgspec.json.decode(line, type=Order)
        project, account = self._asked(order, uid)
        if not (_NAME.fullmatch(order.source) and _HIDDEN.fullmatch(order.target)):
            raise Refused("These are no names of environments.")
        async with self._launcher.lock(project):
            await asyncio.to_thread(
                self._launcher.projects.link_environment,
                project, account, order.source, order.target, threading.Event(),
            )  # fmt: skip

    def _asked(self, order: Order, uid: int) -> tuple[ProjectSpec, str]:
        record = self._registry.find(order.app_id)
        if record is None or record.launch is None or record.is_over or record.uid != uid:
            raise Refused("You have no such app running.")
        asked = record.launch.project
        project = self._launcher.passes.known().get((asked.owner, asked.name), asked)
        account = record.launch.account
        writers = [member.account for member in project.members if member.access == "rwx"]
        if account not in (project.owner_account, *writers):
            raise Refused("You may not change this project.")
        return project, account
