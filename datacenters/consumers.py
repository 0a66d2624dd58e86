"""The WebSocket of wire 1: one for each gateway, dialled by the gateway."""

import asyncio
import logging
import time
from typing import Any, ClassVar

import msgspec
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import InterfaceError, OperationalError

from gateway.protocol import Hello, Nodes, Welcome, decode_from_gateway, encode

from . import wire
from .gateways import by_credential
from .models import Gateway
from .wake import Sleeper

log = logging.getLogger(__name__)

#: Longest wait, in seconds, until a change made by another process is on its way.
LOOK_EVERY = 0.25
#: How often, in seconds, the gateway is noted as present and its list of nodes compared.
NOTE_EVERY = 5.0


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

    async def connect(self) -> None:
        headers = dict(self.scope["headers"])
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        self.gateway = await database_sync_to_async(by_credential)(authorization)
        if self.gateway is None:
            await self.close(4401)
            return
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await self._take(text_data or bytes_data or b"")
        except (msgspec.DecodeError, ValueError) as error:
            log.warning("gateway %s sent something unreadable: %s", self.gateway, error)
        except (OperationalError, InterfaceError):
            # The report is lost: the gateway reads all nodes anew when it has connected again.
            log.exception("a report of gateway %s can’t be stored", self.gateway)
            await self.close(1011)
        except Exception:  # one node's odd report must not cut off all others
            log.exception("a report of gateway %s was dropped", self.gateway)

    async def _take(self, data: str | bytes) -> None:
        message = decode_from_gateway(wire.storable(data))
        if isinstance(message, Hello):
            await self._hello(message)
        elif self.gateway is not None:
            await database_sync_to_async(wire.receive)(self.gateway, message)

    async def _hello(self, hello: Hello) -> None:
        assert self.gateway is not None
        former = self.current.get(self.gateway.pk.hex)
        self.current[self.gateway.pk.hex] = self
        if former is not None and former is not self:
            await former.close(4409)
        self.version = hello.version
        if self.sender is None:
            self.sender = asyncio.create_task(self._send_all())
        log.info("gateway %s connected", self.gateway)

    async def disconnect(self, code: int) -> None:
        if self.sender is not None:
            self.sender.cancel()
        if self.gateway is None or self.current.get(self.gateway.pk.hex) is not self:
            return
        del self.current[self.gateway.pk.hex]
        await database_sync_to_async(wire.gateway_lost)(self.gateway)
        log.info("gateway %s disconnected (%s)", self.gateway, code)

    async def _send_all(self) -> None:
        assert self.gateway is not None
        sleeper = Sleeper()
        try:
            notices = await database_sync_to_async(wire.Notices)()
            await database_sync_to_async(wire.gateway_connected)(self.gateway)
            known = await self._note()
            await self._say(Welcome(known))
            noted = time.monotonic()
            while True:
                for message in await database_sync_to_async(self._due)(notices):
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
            await self.close(4401)
        except Exception:
            log.exception("wire to gateway %s broke", self.gateway)
            await self.close(1011)
        finally:
            sleeper.close()

    def _due(self, notices: wire.Notices) -> list[Any]:
        if not wire.is_enrolled(self.gateway):
            raise Removed
        # Revocations first: what they close must not be reached by a later command.
        return [*notices.take(), *wire.commands(self.gateway)]

    async def _note(self) -> tuple[Any, ...]:
        await database_sync_to_async(wire.gateway_seen)(self.gateway, self.version)
        return await database_sync_to_async(wire.addresses)(self.gateway)

    async def _say(self, message: msgspec.Struct) -> None:
        await self.send(text_data=encode(message).decode())
