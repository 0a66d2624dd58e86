"""An app's own output, as lines that a page can show."""

import os
import re
from pathlib import Path

_LONGEST_LINE = 1000
_MOST_AT_ONCE = 256 * 1024
# Terminal sequences and control characters have no place outside a terminal.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(line: str) -> str:
    """Return the line without control characters and terminal sequences, cut to size."""
    text = line.rstrip("\r").rsplit("\r", 1)[-1]  # what a progress bar shows last
    text = _CONTROLS.sub("", _ESCAPES.sub("", text))
    return text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + " …"


class Tail:
    """Reads what an app wrote since the last look, from a log that turns (``log``, ``log.1``)."""

    def __init__(self, path: Path, secret: str = "") -> None:
        self._path = path
        self._secret = secret
        self._file: int | None = None
        self._rest = b""

    def read(self, final: bool = False) -> list[str]:
        """Return the new whole lines; with ``final`` also one without its end, and close."""
        data = self._rest + self._new_bytes()
        lines = data.split(b"\n")
        self._rest = b"" if final else lines.pop()[-_MOST_AT_ONCE:]
        if final:
            self.close()
        return [self._line(line) for line in lines if line.strip()]

    def skip(self) -> None:
        """Leave out what is there already, because somebody else has read it."""
        while self._new_bytes():
            pass

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _line(self, raw: bytes) -> str:
        line = clean(raw.decode(errors="replace"))
        return line.replace(self._secret, "…") if self._secret else line

    def _new_bytes(self) -> bytes:
        if self._file is None:
            self._file = self._open()
            if self._file is None:
                return b""
            self._skip_old()
        data = os.read(self._file, _MOST_AT_ONCE)
        if not data and self._turned():
            os.close(self._file)
            self._file = self._open()
            data = os.read(self._file, _MOST_AT_ONCE) if self._file is not None else b""
        return data

    def _open(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None

    def _skip_old(self) -> None:
        """Begin near the end where there is more than anybody wants to see."""
        assert self._file is not None
        size = os.fstat(self._file).st_size
        if size > _MOST_AT_ONCE:
            os.lseek(self._file, size - _MOST_AT_ONCE, os.SEEK_SET)

    def _turned(self) -> bool:
        assert self._file is not None
        try:
            return self._path.stat().st_ino != os.fstat(self._file).st_ino
        except OSError:
            return False


def last_meaningful(lines: list[str]) -> str:
    """Return the line that most likely says why a program ended: an error's text, else the last."""
    said = [line.strip() for line in lines if line.strip()]
    for line in reversed(said[-30:]):
        if re.match(r"([\w.]+(Error|Exception|Exit)\b|error:|fatal:)", line, re.IGNORECASE):
            return line[:300]
    return said[-1][:300] if said else ""
