"""The file of a backup: its first line says what follows, its last one that nothing is missing."""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

FORMAT = "aen-backup-1"
#: Longest line in characters: the largest text of a row is far below it.
_LONGEST = 64 * 1024 * 1024


class Damaged(Exception):
    """The file is no backup, or not all of one."""


def write(stream: IO[bytes], head: dict[str, Any], rows: Iterable[list[Any]], end: Any) -> None:
    """Write the head, all rows, and what ``end()`` then returns."""
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=6, mtime=0, filename="") as packed:
        packed.write(_line({"format": FORMAT} | head))
        for row in rows:
            packed.write(_line(row))
        packed.write(_line({"end": end()}))


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Reader:
    """``head``, then the rows; afterwards ``end`` is what stands at the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._lines = _lines(stream)
        self.head = next(self._lines, None)
        self.end: Any = None
        if not isinstance(self.head, dict) or self.head.get("format") != FORMAT:
            raise Damaged("It is no backup of AEN, or of another version’s format.")

    def rows(self) -> Iterator[list[Any]]:
        """Yield all rows. Raises ``Damaged`` when the file ends before its end."""
        for line in self._lines:
            if isinstance(line, dict):
                self.end = line.get("end")
                return
            yield line
        raise Damaged("The file is cut off: its last line is missing.")


def _lines(stream: IO[bytes]) -> Iterator[Any]:
    try:
        with gzip.GzipFile(fileobj=stream, mode="rb") as packed:
            while line := packed.readline(_LONGEST):
                yield json.loads(line)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise Damaged(f"It can’t be read: {error}.") from error
