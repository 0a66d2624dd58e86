"""A thin HTTP/1.1 client for apps, over connections that the node's agent makes.

``Splice`` is the connection. ``AppResponse`` parses one response from it. ``Pool`` keeps the idle
ones of each app.
"""

from .connect import by_socket, by_tls
from .errors import AppRefused, AppUnreachable
from .plain import PlainHead, plain_head
from .pool import Pool
from .response import AppResponse
from .splice import Splice

__all__ = [
    "AppRefused",
    "AppResponse",
    "AppUnreachable",
    "PlainHead",
    "Pool",
    "Splice",
    "by_socket",
    "by_tls",
    "plain_head",
]
