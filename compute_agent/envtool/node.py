"""What the node is asked for over its socket: a copy by links, and a turn to change environments.

Each order is a line of JSON on a connection of its own, and so is the answer.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from .problem import Problem

_ANSWER = 4096
_COPY_SECONDS, _TURN_SECONDS = 120.0, 5.0


def copy(asked: Path, source: Path, place: Path) -> bool:
    """Have the environment ``source`` copied to ``place`` beside it; say whether it was."""
    order = {
        "app_id": os.environ.get("AEN_APP_ID", ""),
        "source": source.name,
        "target": place.name,
    }
    with contextlib.suppress(OSError, ValueError), _connected(asked, _COPY_SECONDS) as sock:
        sock.sendall(_line(order))
        return json.loads(sock.recv(_ANSWER)).get("done") is True
    return False


def turn(asked: Path, home: Path) -> int | None:
    """Return the open file whose lock is the turn to change environments of the project ``home``.

    ``None`` where the node knows no such project. Only who may change the project is given it, so
    nobody else can hold it. Raises ``Problem``.
    """
    order = {"turn": "/".join(home.resolve().parts[-2:])}
    deadline = time.monotonic() + _TURN_SECONDS
    while True:
        with contextlib.suppress(OSError, ValueError), _connected(asked, _TURN_SECONDS) as sock:
            sock.sendall(_line(order))
            data, files, _, _ = socket.recv_fds(sock, _ANSWER, 1)
            return _taken(json.loads(data), files)
        if time.monotonic() > deadline:
            raise Problem("The node does not answer.", "It may be restarting: try again.")
        time.sleep(0.2)


def _taken(answer: dict[str, Any], files: list[int]) -> int | None:
    for file in files:
        os.set_inheritable(file, False)  # no program that is run here holds the turn
    if answer.get("done") is True and files:
        return files[0]
    if answer.get("unknown") is True:
        return None
    raise Problem(str(answer.get("why") or "The node does not allow this change."))


def _line(order: dict[str, str]) -> bytes:
    return json.dumps(order).encode() + b"\n"


@contextlib.contextmanager
def _connected(asked: Path, seconds: float) -> Any:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(seconds)
        sock.connect(str(asked))
        yield sock
