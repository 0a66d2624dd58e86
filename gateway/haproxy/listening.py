"""The gateway's server with one more socket, by which HAProxy hands requests on."""

import asyncio
import socket
from pathlib import Path

import uvicorn

#: Only the gateway's account, which HAProxy runs as, may connect: whoever does is believed.
_MODE = 0o600


class Server(uvicorn.Server):
    """Listens at the Unix socket ``path`` as well."""

    def __init__(self, config: uvicorn.Config, path: str) -> None:
        super().__init__(config)
        self._path = Path(path)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        listening = await loop.create_unix_server(
            self._connection, backlog=2048, sock=self._bound()
        )
        self.servers.append(listening)

    def _bound(self) -> socket.socket:
        """Return a socket that was nobody else's to open, not even for a moment."""
        bound = socket.socket(socket.AF_UNIX)
        try:
            place = self._path.with_name(f"{self._path.name}.new")
            place.unlink(missing_ok=True)
            bound.bind(str(place))
            place.chmod(_MODE)
            place.rename(self._path)
        except BaseException:
            bound.close()
            raise
        return bound

    def _connection(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        return make(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
