"""One configuration file: read, and looked through for everything that is wrong with it."""

import difflib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from compute_agent.config import positions
from compute_agent.config.old_names import OLD_NAMES, REFUSED
from compute_agent.config.options import (
    OPTIONS,
    START_OPTIONS,
    TLS_KEYS,
    wrong_type,
    wrong_value,
)
from compute_agent.config.positions import Key, NotJson, Value

_START_FILE = ("scripts", "config.json")


class Source(NamedTuple):
    """Where a value was given: ``name`` is what the file calls the option."""

    file: Path
    line: int
    name: str


class Given(NamedTuple):
    """A value of one option; ``inside`` says where each key of an object stands."""

    value: Any
    source: Source
    inside: dict[str, Source]


@dataclass
class File:
    """What a file gives, by option, and its problems, each with the line it is at."""

    path: Path
    given: dict[str, Given] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(f"{self.path}:{line}: {text}")


def read(path: Path) -> File:
    """Return what is in the file. Never raises for what is in it: that is among the problems."""
    file = File(path)
    try:
        text = _text(path)
    except OSError as error:
        file.problems.append(f"{path}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        file.wrong(error.object.count(b"\n", 0, error.start) + 1, "is not in UTF-8")
    else:
        _parse(file, text)
    return file


def _text(path: Path) -> str:
    with path.open("rb") as opened:
        _check_writers(os.fstat(opened.fileno()))
        return opened.read().decode("utf-8-sig")


def _check_writers(info: os.stat_result) -> None:
    """Refuse a file by which somebody else would decide what runs as this process's account."""
    if info.st_uid not in (0, os.geteuid()):
        raise OSError(f"belongs to the account with uid {info.st_uid}, which could change it")
    if os.geteuid() == 0 and info.st_gid != 0 and info.st_mode & stat.S_IWGRP:
        raise OSError(f"can be changed by the group {info.st_gid}; chmod g-w would mend that")
    if info.st_mode & stat.S_IWOTH:
        raise OSError("can be changed by everybody; chmod o-w would mend that")


def _parse(file: File, text: str) -> None:
    try:
        whole = positions.read(text)
    except NotJson as error:
        file.wrong(error.line, f"not JSON: {error}")
        return
    if not isinstance(whole.plain, dict):
        file.wrong(whole.line, "holds no object of options")
        return
    names = _Names(file)
    for key, value in whole.members:
        option = _known(file, key)
        if option is not None and names.is_first(option, key):
            _take(file, option, key, value)


def _known(file: File, key: Key) -> str | None:
    """Return the option that the key stands for, or say what is wrong with the key."""
    option = OLD_NAMES.get(key.name, key.name)
    if key.name in REFUSED:
        file.wrong(key.line, f"{key.name} {REFUSED[key.name]}")
    elif option not in OPTIONS:
        near = _nearest(key.name, [*OLD_NAMES, *OPTIONS])  # of equals, the new name
        file.wrong(key.line, f"unknown option {_shown(key.name)}{near}")
    elif file.path.parts[-2:] == _START_FILE and option not in START_OPTIONS:
        where = "compute-launcher-config.json"
        file.wrong(key.line, f"{key.name} does not concern starting a project; {where} may hold it")
    else:
        return option
    return None


class _Names:
    """The options that a file has given so far, to find those that it gives twice."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._seen: dict[str, Key] = {}

    def is_first(self, option: str, key: Key) -> bool:
        first = self._seen.setdefault(option, key)
        if first is key:
            return True
        if first.name == key.name:
            said = f"{key.name} is given twice, first at line {first.line}"
        else:
            said = f"{key.name} and {first.name} at line {first.line} are the same option"
        self._file.wrong(key.line, said)
        return False


def _take(file: File, option: str, key: Key, value: Value) -> None:
    wanted = wrong_type(option, value.plain)
    said = f"must be {wanted}, not {_seen(value.plain)}" if wanted else None
    said = said or wrong_value(option, value.plain)
    if said:
        file.wrong(value.line, f"{key.name}: {said}")
        return
    inside = dict(_tls(file, key, value)) if value.members or value.plain == {} else {}
    file.given[option] = Given(value.plain, Source(file.path, key.line, key.name), inside)


def _tls(file: File, tls: Key, value: Value) -> Iterator[tuple[str, Source]]:
    """Look through the keys of ``tls`` and give the source of each."""
    names = _Names(file)
    for key, part in value.members:
        full = f"{tls.name}.{key.name}"
        if key.name not in TLS_KEYS:
            near = _nearest(key.name, list(TLS_KEYS))
            file.wrong(key.line, f"unknown option {_shown(full)}{near}")
        elif names.is_first(full, Key(full, key.line)):
            if not isinstance(part.plain, str):
                file.wrong(part.line, f"{full}: must be a string, not {_seen(part.plain)}")
            yield key.name, Source(file.path, key.line, full)
    missing = [name for name in TLS_KEYS if name not in value.plain]
    if missing:
        file.wrong(tls.line, f"{tls.name}: lacks {' and '.join(missing)}")


def _nearest(name: str, known: list[str]) -> str:
    """Return ``; did you mean …`` for a misspelt option, or nothing."""
    if name in known:
        return ""
    plain = {_plain(option): option for option in known}
    found = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[found[0]]}?" if found else ""


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _shown(name: str) -> str:
    return name if name.isprintable() and name else json.dumps(name)


def _seen(value: Any) -> str:
    """Return the start of a value as it stands in the file."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}…"
