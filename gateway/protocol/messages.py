"""The messages of wire 1 as typed structures, and their JSON form."""

from typing import Literal

import msgspec
from msgspec import Raw, Struct


class NodeAddress(Struct, frozen=True):
    """Where a gateway finds a node: ``unix:/path`` or ``https://host:5002``."""

    id: str
    name: str
    address: str


# --- server to gateway -------------------------------------------------------------------------


class Welcome(Struct, frozen=True, tag="welcome"):
    """First answer on the WebSocket. The gateway empties its access cache on it."""

    nodes: tuple[NodeAddress, ...]


class Nodes(Struct, frozen=True, tag="nodes"):
    """The data center's nodes changed; this is the whole list."""

    nodes: tuple[NodeAddress, ...]


class ToNode(Struct, frozen=True, tag="to_node"):
    """A command of wire 2 for a node. ``id`` comes back in ``Undelivered``."""

    node: str
    id: str
    body: Raw


class Revoke(Struct, frozen=True, tag="revoke"):
    """Drop every grant whose field of that name has that value, and close what it opened."""

    field: Literal["session", "token", "user", "project", "app_id"]
    value: str


FromServer = Welcome | Nodes | ToNode | Revoke


# --- gateway to server -------------------------------------------------------------------------


class Hello(Struct, frozen=True, tag="hello"):
    version: str


class FromNode(Struct, frozen=True, tag="from_node"):
    """A report of wire 2, as the node wrote it."""

    node: str
    body: Raw


class NodeLink(Struct, frozen=True, tag="node_link"):
    """The gateway reached a node's event stream, or lost it, and why."""

    node: str
    up: bool
    cause: str = ""


class Undelivered(Struct, frozen=True, tag="undelivered"):
    """A command that the node refused (``final``) or that did not reach it (not ``final``)."""

    node: str
    id: str
    cause: str
    final: bool


FromGateway = Hello | FromNode | NodeLink | Undelivered


# --- may this request pass? ----------------------------------------------------------------------


class AccessQuestion(Struct, frozen=True):
    """``sessions``: every value of our session cookie, in the order sent; ``bearer``: a token."""

    owner: str
    project: str
    app: str
    sessions: tuple[str, ...] = ()
    bearer: str | None = None


class Grant(Struct, frozen=True):
    """What was granted: the caller's own instance of the app, and what it hangs on."""

    app_id: str
    node: str
    user: str
    project: str
    session: str | None = None
    token: str | None = None


class AccessAnswer(Struct, frozen=True):
    """``status``: 200 with a ``grant``; 401 sign in; 403; 404; 409 the app is not running.

    ``ttl``: seconds for which the answer may be remembered. ``page``: the project's page on the
    server, for people; ``detail``: one sentence for the person. ``starting``: of 409, the app will
    be running soon.
    """

    status: Literal[200, 401, 403, 404, 409]
    ttl: float = 0.0
    grant: Grant | None = None
    detail: str = ""
    page: str = ""
    starting: bool = False


_from_server: msgspec.json.Decoder[FromServer] = msgspec.json.Decoder(FromServer)
_from_gateway: msgspec.json.Decoder[FromGateway] = msgspec.json.Decoder(FromGateway)
_question: msgspec.json.Decoder[AccessQuestion] = msgspec.json.Decoder(AccessQuestion)
_answer: msgspec.json.Decoder[AccessAnswer] = msgspec.json.Decoder(AccessAnswer)
_encoder = msgspec.json.Encoder()


def encode(message: Struct) -> bytes:
    """Return the message as JSON."""
    return _encoder.encode(message)


def decode_from_server(data: bytes | str) -> FromServer:
    """Return what the server sent; raises ``msgspec.ValidationError`` naming the field."""
    return _from_server.decode(data)


def decode_from_gateway(data: bytes | str) -> FromGateway:
    """Return what a gateway sent; raises ``msgspec.ValidationError`` naming the field."""
    return _from_gateway.decode(data)


def decode_question(data: bytes) -> AccessQuestion:
    """Return the question; raises ``msgspec.ValidationError`` naming the field."""
    return _question.decode(data)


def decode_answer(data: bytes) -> AccessAnswer:
    """Return the answer; raises ``msgspec.ValidationError`` naming the field."""
    return _answer.decode(data)
