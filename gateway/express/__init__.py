"""The express way: requests of sessions already granted, served below ASGI.

``Connection`` is uvicorn's own protocol class, asked first whether a request can take the short
way: its framing is beyond doubt, and its grant is remembered. Such a request becomes an
``Exchange``, without a task or a message for each piece; a WebSocket becomes two sides that pass
bytes. All else goes on untouched to uvicorn and the consumers. Rules are not made here: they are
``gate``'s and ``forwarding``'s, as for the consumers.
"""

from .connection import Connection

__all__ = ["Connection"]
