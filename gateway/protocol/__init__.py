"""Wire 1: what the server and a gateway say to each other.

The gateway dials. It shows its credential (``Authorization: Bearer``) on each call:

* one WebSocket, ``/gateway/wire``: ``FromServer`` downwards, ``FromGateway`` upwards, one JSON
  text message each. It opens with ``Hello`` and is answered with ``Welcome``.
* ``POST /gateway/access``: an ``AccessQuestion``, answered with an ``AccessAnswer``.
* the OAuth 2 endpoints ``/oauth/authorize`` (in the browser), ``/oauth/token`` and, at a sign-out,
  ``/oauth/revoke``.

What a node and the server say to each other travels as ``ToNode`` and ``FromNode`` with the body
unopened. This package is pure: types and their JSON form, no input or output.
"""

from .messages import (
    AccessAnswer,
    AccessQuestion,
    FromGateway,
    FromNode,
    FromServer,
    Grant,
    Hello,
    NodeAddress,
    NodeLink,
    Nodes,
    Revoke,
    ToNode,
    Undelivered,
    Welcome,
    decode_answer,
    decode_from_gateway,
    decode_from_server,
    decode_question,
    encode,
)

__all__ = [
    "AccessAnswer",
    "AccessQuestion",
    "FromGateway",
    "FromNode",
    "FromServer",
    "Grant",
    "Hello",
    "NodeAddress",
    "NodeLink",
    "Nodes",
    "Revoke",
    "ToNode",
    "Undelivered",
    "Welcome",
    "decode_answer",
    "decode_from_gateway",
    "decode_from_server",
    "decode_question",
    "encode",
]
