"""The WebSocket of wire 1: one for each gateway, dialled by the gateway."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, ParamSpec, TypeVar

import msgspec
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer

from accounts.transactions import AWAY, replaceable
from gateway.protocol import Hello, Nodes, Welcome, decode_from_gateway, encode

from . import wire
from .gateways import by_credential
from .models import Gateway
from .wake import Sleeper

log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Longest wait, in seconds, until a change made by another process is on its way.
LOOK_EVERY = 0.25
#: How often, in seconds, the gateway is noted as present and its list of nodes compared.
NOTE_EVERY = 5.0


def in_thread(function: Callable[_P, _R]) -> Callable[_P, Awaitable[_R]]:
    """Return the function for a thread that may use the database.

    What it writes is what nodes report and gateways ask for again, whenever they connect.
    """
    return database_sync_to_async(replaceable()(function))


class Removed(Exception):
    """The gateway was removed, or enrolled anew: this connection's credential is over."""


class Nowhere(AsyncWebsocketConsumer):
    """All other addresses, at which there is no WebSocket."""

    async def connect(self) -> None:
        await self.close()


class GatewayWire(AsyncWebsocketConsumer):
    """Sends what is due and takes what is reported, in order."""

    #: The connection that counts for each gateway, when an old one is not closed yet.
    current: ClassVar[dict[str, "GatewayWire"]] = {}

    gateway: Gateway | None = None
    sender: asyncio.Task[None] | None = None
    version = ""
    ended = False

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        try:
            self.gateway = await in_thread(by_credential)(authorization)
        except AWAY as error:
            log.warning("a gateway can’t be recognised now: %s", error)
            await self._refuse(503)
            return
        if self.gateway is None:
            await self.close(4401)
            return
        await self.accept()

    async def _refuse(self, status: int) -> None:
        """Answer the handshake by a status of HTTP: a close would say that nobody is let in."""
        start = {"type": "websocket.http.response.start", "status": status, "headers": []}
        await self.base_send(start)
        await self.base_send({"type": "websocket.http.response.body", "body": b""})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await self._take(text_data or bytes_data or b"")
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("gateway %s sent something unreadable: %s", self.gateway, error)
        except AWAY as error:
            # The report is lost: the gateway reads all nodes anew when it has connected again.
            log.warning("a report of gateway %s can’t be stored: %s", self.gateway, error)
            await self._end(1011)
        except Exception:  # one node's odd report must not cut off all others
            log.exception("a report of gateway %s was dropped", self.gateway)

    async def _take(self, data: str | bytes) -> None:
        message = decode_from_gateway(wire.storable(data))
        if isinstance(message, Hello):
            await self._hello(message)
        elif self.gateway is not None:
            await in_thread(wire.receive)(self.gateway, message)

    async def _hello(self, hello: Hello) -> None:
        assert self.gateway is not None
        former = self.current.get(self.gateway.pk.hex)
        self.current[self.gateway.pk.hex] = self
        if former is not None and former is not self:
            await former._end(4409)
        self.version = hello.version
        if self.sender is None:
            self.sender = asyncio.create_task(self._send_all())
        log.info("gateway %s connected", self.gateway)

    async def _end(self, code: int) -> None:
        """Close, once: sender, reader and a newer connection may each find out that it is over.

        A second close is an error to the server beneath, and would end this consumer unheard.
        """
        if self.ended:
            return
        self.ended = True
        with contextlib.suppress(OSError, RuntimeError):  # it went away by itself
            await self.close(code)

    async def disconnect(self, code: int) -> None:
        if self.sender is not None:
            self.sender.cancel()
        if self.gateway is None or self.current.get(self.gateway.pk.hex) is not self:
            return
        del self.current[self.gateway.pk.hex]
        log.info("gateway %s disconnected (%s)", self.gateway, code)
        with contextlib.suppress(*AWAY):  # then its last sign of life grows old by itself
            await in_thread(wire.gateway_lost)(self.gateway)

    async def _send_all(self) -> None:
        assert self.gateway is not None
        sleeper = Sleeper()
        try:
            notices = await in_thread(wire.Notices)()
            await in_thread(wire.gateway_connected)(self.gateway)
            known = await self._note()
            await self._say(Welcome(known))
            noted = time.monotonic()
            while True:
                for message in await in_thread(self._due)(notices):
                    await self._say(message)
                if time.monotonic() - noted > NOTE_EVERY:
                    known, before = await self._note(), known
                    noted = time.monotonic()
                    if known != before:
                        await self._say(Nodes(known))
                await sleeper.wait(LOOK_EVERY)
        except asyncio.CancelledError:
            raise
        except Removed:
            log.warning("gateway %s is not enrolled any more", self.gateway)
            await self._end(4401)
        except AWAY as error:
            log.warning("wire to gateway %s broke: %s", self.gateway, error)
            await self._end(1011)
        except Exception:
            log.exception("wire to gateway %s broke", self.gateway)
            await self._end(1011)
        finally:
            sleeper.close()

    def _due(self, notices: wire.Notices) -> list[Any]:
        if not wire.is_enrolled(self.gateway):
            raise Removed
        # Revocations first: what they close must not be reached by a later command.
        return [*notices.take(), *wire.commands(self.gateway)]

    async def _note(self) -> tuple[Any, ...]:
        await in_thread(wire.gateway_seen)(self.gateway, self.version)
        return await in_thread(wire.addresses)(self.gateway)

    async def _say(self, message: msgspec.Struct) -> None:
        await self.send(text_data=encode(message).decode())
