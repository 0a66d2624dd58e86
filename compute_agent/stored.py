"""Records of apps on disk, as this version of AEN writes them and as others did."""

from typing import Any

import msgspec
from msgspec import Struct, inspect

from compute_agent.protocol import AppStatus, Launch


class RunnerId(Struct, frozen=True):
    """A runner's process, so that it is told from a later one with the same number."""

    pid: int
    start: int
    boot: str


class Stored(Struct):
    """A record on disk."""

    status: AppStatus
    launch: Launch | None = None
    runner: RunnerId | None = None
    uid: int = -1
    stopping: bool = False
    #: The server wants no more of it than that it ends.
    unwanted: bool = False
    ended: float | None = None
    #: Processor time in seconds, and when it was read, by the machine's steady clock.
    spent: tuple[float, float] | None = None
    #: The machine's boot in which it was written.
    boot: str = ""


def decode(data: bytes) -> Stored:
    """Return the record; what only another version of AEN knows is left out.

    The node refuses an unknown field of a command. Of a record it must not: the app would run on, and
    nobody would know of it. Raises ``msgspec.MsgspecError`` for what is no record.
    """
    known = _known(msgspec.json.decode(data), inspect.type_info(Stored))
    return msgspec.convert(known, Stored)


def _known(value: Any, kind: inspect.Type) -> Any:
    """Return ``value`` without the fields of objects that ``kind`` does not have."""
    if isinstance(kind, inspect.UnionType):
        objects = [one for one in kind.types if isinstance(one, inspect.StructType)]
        kind = objects[0] if objects else kind
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = {field.encode_name: field.type for field in kind.fields}
        found = {name: _known(value[name], fields[name]) for name in value if name in fields}
        return found | {name: value[name] for name in value if name == kind.tag_field}
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        return [_known(item, kind.item_type) for item in value]
    return value
