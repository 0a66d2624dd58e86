"""Files that name the directory they are in, made to name another.

Conda packages are built for a long made-up prefix. Whoever installs one puts the real prefix in its
place: in text as it is; in programs filled up with zeros behind the string, so that everything
else stays where it was. A file that was once changed so can be changed again, as the zeros are
still there.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

#: The kernel does not read the first line of a script any further.
_LONGEST_SHEBANG = 127


class Baked(NamedTuple):
    """How a file names its prefix: ``mode`` is ``text`` or ``binary``, or ``copy`` where it does
    not; ``room`` is the length in bytes of what stood there in the package (0: not known)."""

    mode: str
    room: int = 0


class TooLong(Exception):
    """The new prefix does not fit into a program; the text is a sentence."""


def rewritten(data: bytes, baked: Baked, old: str, new: str) -> bytes:
    """Return the content of a file with the prefix ``new`` in the place of ``old``.

    Raises ``TooLong`` where a program has no room for it.
    """
    if baked.mode == "copy" or not old or old == new:
        return data
    before, after = old.encode(), new.encode()
    if baked.mode == "text":
        return _text(data, before, after)
    return b"".join(_binary(data, baked.room, before, after))


def _text(data: bytes, old: bytes, new: bytes) -> bytes:
    pattern = _path(old)
    first, newline, rest = data.partition(b"\n")
    line, changed = pattern.subn(lambda _: new, first)
    if changed and line.startswith(b"#!"):
        line = _shebang(line)
    return line + newline + pattern.sub(lambda _: new, rest)


def _path(prefix: bytes) -> re.Pattern[bytes]:
    """Match the prefix, but not the beginning of another directory's name."""
    return re.compile(re.escape(prefix) + rb"(?![\w.-])")


def _shebang(line: bytes) -> bytes:
    """Return a first line that the kernel understands, as conda does."""
    found = re.match(rb"#!\s*((?:\\ |[^ \r])+)(.*)", line)
    if found is None or (len(line) <= _LONGEST_SHEBANG and b" " not in found[1]):
        return line
    return b"#!/usr/bin/env " + found[1].rpartition(b"/")[2] + found[2]


def _binary(data: bytes, room: int, old: bytes, new: bytes) -> Iterator[bytes]:
    at = 0
    while (start := data.find(old, at)) >= 0:
        end = data.find(b"\0", start)
        end = len(data) if end < 0 else end
        tail = data[start:end]
        spare = tail.count(old) * max(room - len(old), 0)
        spare = min(spare, _zeros(data, end, spare))
        fresh = tail.replace(old, new)
        length = len(tail) + spare
        if len(fresh) > length:
            raise TooLong(
                f"A program has room for a path of {len(old) + spare} bytes only, and "
                f"{new.decode(errors='replace')} is longer."
            )
        yield data[at:start]
        yield fresh + b"\0" * (length - len(fresh))
        at = start + length
    yield data[at:]


def _zeros(data: bytes, at: int, most: int) -> int:
    """Count the zeros from ``at`` on, without the one that ends the string."""
    return most if data[at : at + most] == b"\0" * most else 0
