"""JSON that remembers where each value stands, so that a mistake can be named by its line.

Strings, numbers and words are read by the standard library's own scanner; only objects and lists,
which it hands out without positions, are taken apart here.
"""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DEEPEST = 50


@dataclass
class Value:
    """A value and the line of its first character, counted from 1.

    ``members`` are the keys of an object with their values, in their order, a key that is there
    twice included.
    """

    plain: Any
    line: int
    members: list[tuple["Key", "Value"]] = field(default_factory=list)


@dataclass(frozen=True)
class Key:
    name: str
    line: int


class NotJson(Exception):
    """The text breaks the rules of JSON at ``line``."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read(text: str) -> Value:
    """Return the one value that ``text`` holds. Raises ``NotJson``."""
    return _Reader(text).read()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._scalar = json.JSONDecoder(parse_constant=_refuse_constant)

    def read(self) -> Value:
        value = self._value(0)
        if self._peek():
            raise self._wrong("there is more after the end of the object")
        return value

    # --- values ---

    def _value(self, depth: int) -> Value:
        if depth > _DEEPEST:
            raise self._wrong("objects and lists are nested too deeply")
        first = self._peek()
        line = self._line(self._at)
        if first == "{":
            return self._object(line, depth)
        if first == "[":
            return self._list(line, depth)
        return Value(self._plain(), line)

    def _object(self, line: int, depth: int) -> Value:
        members: list[tuple[Key, Value]] = []
        self._at += 1
        while self._peek() != "}":
            if members:
                self._comma("}")
            members.append(self._member(depth))
        self._at += 1
        return Value({key.name: value.plain for key, value in members}, line, members)

    def _member(self, depth: int) -> tuple[Key, Value]:
        if self._peek() != '"':
            raise self._wrong('expected a key in double quotes or a "}"')
        line = self._line(self._at)
        name = str(self._plain())
        if self._peek() != ":":
            raise self._wrong(f'expected a ":" after the key {name}')
        self._at += 1
        return Key(name, line), self._value(depth + 1)

    def _list(self, line: int, depth: int) -> Value:
        items: list[Any] = []
        self._at += 1
        while self._peek() != "]":
            if items:
                self._comma("]")
            items.append(self._value(depth + 1).plain)
        self._at += 1
        return Value(items, line)

    def _comma(self, end: str) -> None:
        if self._peek() != ",":
            raise self._wrong(f'expected a "," or a "{end}"')
        comma = self._at
        self._at += 1
        if self._peek() == end:
            raise NotJson(self._line(comma), f'a "," before the "{end}"')

    # --- what the standard library reads ---

    def _plain(self) -> Any:
        try:
            value, self._at = self._scalar.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise NotJson(error.lineno, _in_words(error.msg)) from None
        except ValueError as error:
            raise self._wrong(str(error)) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self._wrong("a number that is too large")
        return value

    # --- places ---

    def _peek(self) -> str:
        """Go on to the next character that is no space, and return it; empty at the end."""
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _line(self, index: int) -> int:
        return self._text.count("\n", 0, index) + 1

    def _wrong(self, text: str) -> NotJson:
        return NotJson(self._line(self._at), text)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _in_words(message: str) -> str:
    """Return the standard library's message without the position that it leaves open."""
    return message[:1].lower() + message[1:].removesuffix(" starting at").removesuffix(" at")
