"""Channels consumers: requests and WebSockets for apps, and the gateway's own addresses.

They override ``__call__``: Channels' ``dispatch`` makes a thread hop for every message, and its
HTTP consumer collects the whole body first. Here each chunk is passed on as it comes, and each
side waits for the other when that is slow.
"""

from .http import AppHttpConsumer
from .own import OwnConsumer
from .websocket import AppWebSocketConsumer

__all__ = ["AppHttpConsumer", "AppWebSocketConsumer", "OwnConsumer"]
